"""Questions whose answers are known, worded as people word them, and the check of an answer to one."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.federation.final_answer import final_answer, visible_text

PEOPLE = ("Alice", "Anna", "Ben", "Carlos", "Emma", "Eva", "Jonas", "Lena", "Liam", "Max", "Mia", "Nora", "Sam", "Tom")
GOODS = ("apples", "books", "cards", "coins", "cookies", "eggs", "marbles", "pens", "photos", "stickers", "tickets")
TOWNS = ("Berlin", "Boston", "Cairo", "Dublin", "Lima", "Madrid", "Oslo", "Paris", "Prague", "Rome", "Tokyo")
MORE = ("buys {}", "finds {}", "gets {} more", "is given {}", "wins {}", "receives {} more")
FEWER = ("gives away {}", "loses {}", "sells {}", "uses {}", "lends {} to a friend")
LONGEST_CHECKED = 20_000
"""Characters of an answer that are looked at, from its end."""

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_LIST = re.compile(r"-?\d+(?:\s*(?:,|;|\band\b|\n)\s*(?:and\s+)?-?\d+)+")


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    worked: str
    """An answer as a good model gives it; stands in an earlier turn of a conversation."""
    value: str
    """A number, numbers with commas, or JSON."""


def question(rng: random.Random) -> Question:
    return rng.choice(KINDS)(rng)


def is_right(asked: Question, text: str) -> bool:
    """Does the answer come to the known value? Lenient in form: what is examined is not the wording."""
    visible = visible_text(text[-LONGEST_CHECKED:])
    if asked.value.startswith("{"):
        return bool(_json_in(visible) == json.loads(asked.value))
    said = [source for source in (final_answer(visible), visible) if source is not None]
    if "," in asked.value:
        return any(_last_list(source) == _whole_numbers(asked.value) for source in said)
    return any(_last_number(source) == float(asked.value) for source in said)


def _last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _last_list(text: str) -> list[int]:
    runs = _LIST.findall(text)
    return _whole_numbers(runs[-1]) if runs else []


def _whole_numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _json_in(text: str) -> Any:
    start, end = text.find("{"), text.rfind("}")
    try:
        return json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None


# -- kinds of questions ---------------------------------------------------------------------------------------------


def _sum(rng: random.Random) -> Question:
    largest = rng.choice((20, 99, 99, 500))
    total = rng.randint(2, largest)
    terms, steps = [str(total)], []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        step = rng.randint(-total, largest - total) or 1
        terms.append(f"{'+' if step > 0 else '-'} {abs(step)}")
        steps.append(f"{total} {terms[-1]} = {total + step}.")
        total += step
    return _closed(_worded(rng, SUMS, " ".join(terms)), " ".join(steps), str(total))


def _product(rng: random.Random) -> Question:
    left, right = rng.randint(2, 19), rng.randint(2, 12)
    more = rng.randint(1, min(60, left * right))
    sign = rng.choice("+-")
    total = left * right + (more if sign == "+" else -more)
    shown = f"{left} {rng.choice(('*', 'x', 'times'))} {right} {sign} {more}"
    steps = f"{left} * {right} = {left * right}. {left * right} {sign} {more} = {total}."
    return _closed(_worded(rng, SUMS[:-1], shown), steps, str(total))


def _story(rng: random.Random) -> Question:
    person, goods = rng.choice(PEOPLE), rng.choice(GOODS)
    start = total = rng.randint(5, 90)
    deeds, steps = [], []
    for _ in range(rng.choice((1, 2, 2, 3))):
        step = rng.randint(1, 60) if total < 5 or rng.random() < 0.5 else -rng.randint(1, total)
        deeds.append(rng.choice(MORE if step > 0 else FEWER).format(abs(step)))
        steps.append(f"{total} {'+' if step > 0 else '-'} {abs(step)} = {total + step}.")
        total += step
    told = deeds[0] if len(deeds) == 1 else f"{', '.join(deeds[:-1])} and {deeds[-1]}"
    asked = rng.choice(STORY_ENDS).format(person=person, goods=goods)
    joint = ", " if len(deeds) > 1 else " and "
    return _closed(f"{person} has {start} {goods}{joint}{told}. {asked}", " ".join(steps), str(total))


def _list(rng: random.Random) -> Question:
    numbers = rng.sample(range(1, rng.choice((13, 40, 100))), rng.randint(3, 6))
    shown = ", ".join(map(str, numbers))
    task = rng.choice(tuple(LISTS))
    made = {"largest": [max(numbers)], "smallest": [min(numbers)], "sorted": sorted(numbers), "reversed": numbers[::-1]}
    return _closed(_worded(rng, LISTS[task], shown), "", ", ".join(map(str, made[task])))


def _record(rng: random.Random) -> Question:
    if rng.random() < 0.5:
        name, age, city = rng.choice(PEOPLE), rng.randint(5, 95), rng.choice(TOWNS)
        value = json.dumps({"name": name, "age": age, "city": city})
        return Question(rng.choice(PERSONS).format(name=name, age=age, city=city), value, value)
    high, low = sorted(rng.sample(range(1, 99), 2), reverse=True)
    value = json.dumps({"sum": high + low, "difference": high - low})
    return Question(rng.choice(PAIRS).format(high, low), value, value)


def _worded(rng: random.Random, wordings: Sequence[str], shown: str) -> str:
    return rng.choice(wordings).format(shown)


def _closed(text: str, steps: str, value: str) -> Question:
    return Question(text, f"{steps} The answer is {value}.".strip(), value)


SUMS = (
    *("What is {}?", "What is {}?", "Calculate {}.", "Compute {}.", "How much is {}?", "{} = ?"),
    *("what's {}", "Can you work out {} for me?", "Please compute {}", "I need the result of {}.", "{}"),
)
STORY_ENDS = (
    *("How many {goods} does {person} have now?", "How many?", "How many {goods} are left?"),
    *("How many {goods} is that now?", "What does {person} end up with?"),
)
LISTS = {
    "largest": (
        "What is the largest of {}?",
        "Which number is the largest: {}?",
        "Largest of {}?",
        "Find the max of {}",
    ),
    "smallest": ("What is the smallest of {}?", "Which number is the smallest: {}?", "Find the minimum: {}"),
    "sorted": ("Sort {}.", "Sort these numbers: {}.", "Put {} in order.", "Please sort {} in ascending order."),
    "reversed": ("Reverse {}.", "Reverse the list {}.", "Write {} backwards.", "Give me {} in reverse order."),
}
PERSONS = (
    "{name} is {age} years old and lives in {city}. Answer as JSON with name, age and city.",
    "Write as JSON with name, age and city: {name}, {age}, {city}.",
    "Turn this into a JSON object with the keys name, age and city: {name} from {city} is {age}.",
)
PAIRS = (
    "Give the sum and the difference of {} and {} as JSON.",
    "Answer as JSON with sum and difference: {} and {}.",
    "For {} and {}, return JSON with the keys sum and difference.",
)
KINDS: tuple[Callable[[random.Random], Question], ...] = (_sum, _product, _story, _list, _record)
