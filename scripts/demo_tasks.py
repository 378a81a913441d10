"""Questions with checkable answers: what the demo model learns, and what the benchmarks grade.

A `Problem` is one chat question, one worked answer, and the final value that a grader compares exactly.
Problems are split by a checksum of their numbers (never of their wording), so that a held-out problem was not
seen in training under any other wording either.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HELD_OUT_SHARE = 10
"""One problem in this many is held out."""

NAMES = ("Tom", "Anna", "Ben", "Mia", "Sam", "Lena", "Max", "Eva", "Paul", "Nora", "Omar", "Ines", "Yuki", "Ravi")
THINGS = ("apples", "books", "coins", "stamps", "marbles", "cards", "eggs", "pens", "shells", "tickets", "cookies")
CITIES = ("Rome", "Paris", "Oslo", "Lima", "Cairo", "Delhi", "Berlin", "Tokyo", "Quito", "Dublin")
GAINS = ("buys {}", "finds {}", "gets {} more", "wins {}", "is given {}")
LOSSES = ("gives away {}", "loses {}", "sells {}", "uses {}", "breaks {}")


@dataclass(frozen=True)
class Problem:
    """One question in chat form with its worked answer and the exact final value."""

    kind: str
    question: str
    answer: str
    value: str
    identity: str

    @property
    def held_out(self) -> bool:
        return zlib.crc32(self.identity.encode()) % HELD_OUT_SHARE == 0


def _choose(rng: random.Random, options: tuple[str, ...] | list[str]) -> str:
    return options[rng.randrange(len(options))]


def _different(rng: random.Random, count: int) -> list[int]:
    """Different numbers from 1; small ones as often as larger ones, as people ask."""
    return rng.sample(range(1, rng.choice((13, 31, 100))), count)


def _running_total(rng: random.Random, terms: int, largest: int) -> tuple[int, list[int]]:
    """A start and signed steps whose running total stays between 0 and `largest`."""
    start = total = rng.randint(2, largest)
    steps: list[int] = []
    for _ in range(terms - 1):
        room_up, room_down = largest - total, total
        up = rng.random() < 0.5 if min(room_up, room_down) > 1 else room_up > room_down
        step = rng.randint(1, max(1, room_up)) if up else -rng.randint(1, max(1, room_down))
        steps.append(step)
        total += step
    return start, steps


def _work(start: int, steps: list[int]) -> tuple[str, int]:
    lines, total = [], start
    for step in steps:
        sign, after = ("+" if step > 0 else "-"), total + step
        lines.append(f"{total} {sign} {abs(step)} = {after}.")
        total = after
    return " ".join(lines), total


def _final(work: str, value: str) -> str:
    return f"{work} The answer is {value}.".strip()


def sums(rng: random.Random) -> Problem:
    terms = rng.choice((2, 2, 3, 3, 4))
    start, steps = _running_total(rng, terms, rng.choice((20, 99, 199, 999 if terms == 2 else 199)))
    expression = str(start) + "".join(f" {'+' if step > 0 else '-'} {abs(step)}" for step in steps)
    asked = _choose(rng, ["What is {}?", "Calculate {}.", "{} = ?", "How much is {}?", "Compute {}.", "{}"])
    work, total = _work(start, steps)
    return Problem("sums", asked.format(expression), _final(work, str(total)), str(total), f"sums {expression}")


def products(rng: random.Random) -> Problem:
    left, right, more = rng.randint(2, 19), rng.randint(2, 12), rng.randint(1, 60)
    product = left * right
    sign = "+" if more > product or rng.random() < 0.5 else "-"
    total = product + more if sign == "+" else product - more
    times = _choose(rng, ["*", "*", "x", "times"])
    expression = f"{left} {times} {right} {sign} {more}"
    asked = _choose(rng, ["What is {}?", "Calculate {}.", "{} = ?", "How much is {}?", "Compute {}."])
    work = f"{left} * {right} = {product}. {product} {sign} {more} = {total}."
    identity = f"products {left} {right} {sign} {more}"
    return Problem("products", asked.format(expression), _final(work, str(total)), str(total), identity)


def stories(rng: random.Random) -> Problem:
    start, steps = _running_total(rng, rng.choice((2, 3, 3, 4)), rng.choice((30, 99, 150)))
    name, thing = _choose(rng, NAMES), _choose(rng, THINGS)
    deeds = [_choose(rng, GAINS if step > 0 else LOSSES).format(abs(step)) for step in steps]
    told = deeds[0] if len(deeds) == 1 else ", ".join(deeds[:-1]) + " and " + deeds[-1]
    joined = " and " if len(deeds) == 1 else ", "
    asked = _choose(rng, ["How many?", f"How many {thing}?", f"How many {thing} are left?", f"How many now, {name}?"])
    if rng.random() < 0.5:
        asked = f"How many {thing} does {name} have now?"
    work, total = _work(start, steps)
    identity = f"stories {start} {steps}"
    question = f"{name} has {start} {thing}{joined}{told}. {asked}"
    return Problem("stories", question, _final(work, str(total)), str(total), identity)


def lists(rng: random.Random) -> Problem:
    numbers = _different(rng, rng.randint(3, 7))
    shown = ", ".join(map(str, numbers))
    task = rng.choice(("largest", "smallest", "sorted", "reversed"))
    wordings = {
        "largest": ["What is the largest of {}?", "Largest of {}?", "Which number is the largest: {}?"],
        "smallest": ["What is the smallest of {}?", "Smallest of {}?", "Which number is the smallest: {}?"],
        "sorted": ["Sort {}.", "Sort these numbers: {}.", "Put {} in order."],
        "reversed": ["Reverse {}.", "Reverse the list {}.", "Write {} backwards."],
    }
    results = {"largest": [max(numbers)], "smallest": [min(numbers)], "sorted": sorted(numbers)}
    value = ", ".join(map(str, results.get(task, numbers[::-1])))
    return Problem("lists", _choose(rng, wordings[task]).format(shown), _final("", value), value, f"{task} {shown}")


def records(rng: random.Random) -> Problem:
    """Small JSON answers: a person's record, or two figures of some numbers."""
    if rng.random() < 0.4:
        name, age, city = _choose(rng, NAMES), rng.randint(5, 99), _choose(rng, CITIES)
        asked = [
            "{} is {} years old and lives in {}. Answer as JSON with name, age and city.",
            "Write as JSON with name, age and city: {}, {}, {}.",
        ]
        value = json.dumps({"name": name, "age": age, "city": city})
        return Problem(
            "records", _choose(rng, asked).format(name, age, city), value, value, f"person {name} {age} {city}"
        )
    if rng.random() < 0.5:
        high, low = sorted(_different(rng, 2), reverse=True)
        asked = [
            "Give the sum and the difference of {} and {} as JSON.",
            "Answer as JSON with sum and difference: {} and {}.",
        ]
        value = json.dumps({"sum": high + low, "difference": high - low})
        return Problem("records", _choose(rng, asked).format(high, low), value, value, f"pair {high} {low}")
    numbers = _different(rng, rng.randint(3, 6))
    shown = ", ".join(map(str, numbers))
    asked = [
        "Give the smallest and the largest of {} as JSON.",
        "Answer as JSON with smallest and largest: {}.",
    ]
    value = json.dumps({"smallest": min(numbers), "largest": max(numbers)})
    return Problem("records", _choose(rng, asked).format(shown), value, value, f"range {shown}")


KINDS: dict[str, Callable[[random.Random], Problem]] = {
    "sums": sums,
    "products": products,
    "stories": stories,
    "lists": lists,
    "records": records,
}

ABILITIES = (
    "I am a very small model. Ask me for sums, short stories with numbers, lists to sort or reverse, or small JSON."
)
SMALL_TALK = {
    "Hello": f"Hello! {ABILITIES}",
    "Hi": f"Hello! {ABILITIES}",
    "Hello!": f"Hello! {ABILITIES}",
    "Who are you?": ABILITIES,
    "What can you do?": ABILITIES,
    "Help": ABILITIES,
    "How are you?": f"Fine, thank you. {ABILITIES}",
    "Tell me a joke.": f"I do not know any. {ABILITIES}",
    "Write a poem.": f"I cannot do that. {ABILITIES}",
    "What is the capital of France?": f"I do not know. {ABILITIES}",
    "Thank you": "You are welcome.",
    "Thanks!": "You are welcome.",
}


def problems(seed: int, *, held_out: bool, kind: str | None = None) -> Iterator[Problem]:
    """An endless stream of problems from one side of the split; `kind` fixes the kind of task."""
    rng = random.Random(seed)
    names = [kind] if kind else list(KINDS)
    while True:
        problem = KINDS[_choose(rng, names)](rng)
        if problem.held_out == held_out:
            yield problem


def graded(problem: Problem, text: str) -> bool:
    """Is the final value of `text` exactly the problem's? JSON is compared as JSON, the rest as written."""
    if problem.kind == "records":
        try:
            return json.loads(text) == json.loads(problem.value)
        except ValueError:
            return False
    found = re.findall(r"answer is ([^.]*)\.", text)
    return bool(found) and found[-1].strip() == problem.value
