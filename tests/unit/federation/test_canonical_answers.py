from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.answers import AnswerForm, ToolCall
from swarm.domain.generation import ChatMessage, GenerationRequest
from swarm.domain.ids import RequestId
from swarm.federation.answer_form import expected_form
from swarm.federation.canonical import CanonicalAnswer, canonical_answer
from swarm.federation.closed_answers import closed_key
from swarm.federation.final_answer import final_answer, visible_text
from swarm.federation.similarity import clusters_of_texts, free_text
from tests.unit.federation.answer_pairs import Pair, pairs

PAIRS = pairs()


def agree(left: CanonicalAnswer, right: CanonicalAnswer) -> bool:
    if left.exact or right.exact:
        return left == right
    return len(clusters_of_texts([free_text(left.key), free_text(right.key)])) == 1


def answers(pair: Pair) -> tuple[CanonicalAnswer, CanonicalAnswer]:
    left, right = pair.calls
    return canonical_answer(pair.left, pair.form, left), canonical_answer(pair.right, pair.form, right)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.same], ids=str)
def test_the_same_answer_said_differently_agrees(pair: Pair) -> None:
    left, right = answers(pair)
    assert agree(left, right)
    assert agree(right, left)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.same], ids=str)
def test_different_answers_never_agree(pair: Pair) -> None:
    left, right = answers(pair)
    assert not agree(left, right)
    assert not agree(right, left)


def test_the_table_is_large_enough_to_mean_something() -> None:
    assert len(PAIRS) >= 150
    assert min(sum(pair.same for pair in PAIRS), sum(not pair.same for pair in PAIRS)) >= 60


@given(st.text(max_size=200))
def test_any_text_has_a_canonical_answer_that_agrees_with_itself(text: str) -> None:
    assert canonical_answer(text) == canonical_answer(text)
    assert len(canonical_answer(text).shown) <= 80


@given(st.text(alphabet="0123456789.,/-+e $%[]{}\\=", max_size=60))
def test_no_mixture_of_digits_and_signs_breaks_the_reading_of_numbers(text: str) -> None:
    canonical_answer(f"The answer is {text}")


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_of_any_size_are_exact(number: int) -> None:
    assert canonical_answer(f"The answer is {number:,}.") == canonical_answer(str(number))
    assert canonical_answer(f"The answer is {number}.") != canonical_answer(str(number + 1))


def test_a_hostile_exponent_is_not_computed() -> None:
    assert canonical_answer("The answer is 1e999999999.").exact


def test_deeply_nested_json_is_free_text_and_no_error() -> None:
    assert canonical_answer("[" * 100_000).kind in ("free", "closed")


def test_reasoning_that_never_ends_leaves_no_answer() -> None:
    assert visible_text("<think>and then, the answer is 5") == ""


def test_the_last_statement_of_any_form_counts() -> None:
    assert final_answer(r"\boxed{3} and yet the answer is 4.") == "4"
    assert final_answer(r"The answer is 4, I mean \boxed{\frac{1}{2}}") == r"\frac{1}{2}"


def groups_of(texts: list[str]) -> set[frozenset[str]]:
    clusters = clusters_of_texts([free_text(text) for text in texts])
    return {frozenset(texts[index] for index in members) for members in clusters}


def test_clusters_of_texts_do_not_depend_on_their_order() -> None:
    long = [pair for pair in PAIRS if pair.same and len(pair.left) > 75 and pair.form.kind == "auto"][:2]
    texts = [text for pair in long for text in (pair.left, pair.right)]
    groups = {frozenset(texts[i] for i in members) for members in clusters_of_texts(list(map(free_text, texts)))}
    backwards = texts[::-1]
    assert groups == {
        frozenset(backwards[i] for i in members) for members in clusters_of_texts(list(map(free_text, backwards)))
    }
    assert len(groups) == 2


@pytest.mark.parametrize("piece", [r"\boxed{", "answer is ", "<think>", "1,", "#### 1\n", r"\frac{", "(", "1 ", "1"])
@pytest.mark.timeout(10)
def test_a_text_made_to_be_slow_is_read_quickly(piece: str) -> None:
    canonical_answer(piece * 100_000)
    canonical_answer("The answer is " + piece * 300)


@pytest.mark.parametrize(
    "code",
    ["(" * 5000, "-" * 15_000 + "1", "1" + "+1" * 9_000, "x = '", "\x00", "if 1:\n" * 90, "a" * 30_000, "9" * 9_000],
    ids=str.__len__,
)
@pytest.mark.timeout(60)
def test_code_made_to_break_a_parser_is_compared_all_the_same(code: str) -> None:
    form = AnswerForm("code")
    assert canonical_answer(code, form) == canonical_answer(code, form)


@given(st.text(max_size=300))
def test_any_text_can_stand_where_code_json_or_arguments_are_expected(text: str) -> None:
    for form in (AnswerForm("code"), AnswerForm("json"), AnswerForm("text")):
        canonical_answer(text, form)
    canonical_answer("", AnswerForm("tools"), (ToolCall("f", text),))


@given(st.integers(0, 10**14))
def test_numbers_in_words_are_read_as_people_say_them(number: int) -> None:
    assert closed_key(in_words(number), {}) == closed_key(str(number), {})


SMALL_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)


def in_words(number: int) -> str:
    for scale, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if number >= scale:
            rest = number % scale
            return f"{in_words(number // scale)} {name}" + (f" {in_words(rest)}" if rest else "")
    if number >= 100:
        return f"{in_words(number // 100)} hundred" + (f" and {in_words(number % 100)}" if number % 100 else "")
    if number < 20:
        return SMALL_NUMBERS[number]
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    return tens[number // 10 - 2] + (f"-{in_words(number % 10)}" if number % 10 else "")


def test_tool_calls_agree_in_order_and_never_by_name_alone() -> None:
    form = AnswerForm("tools", tools={"f": {}, "g": {}})
    f, g = ToolCall("f", "{}"), ToolCall("g", "{}")
    assert canonical_answer("", form, (f, g)) != canonical_answer("", form, (g, f))
    assert canonical_answer("", form, (f,)) != canonical_answer("", form, (ToolCall("f", '{"a": 1}'),))
    assert canonical_answer("f({})", form) != canonical_answer("", form, (f,))


def asked(question: str) -> AnswerForm:
    return expected_form(GenerationRequest(RequestId("r"), (ChatMessage("user", question),)))


def test_the_request_tells_the_form_of_its_answers() -> None:
    assert asked("What is 2 + 3?").kind == "auto"
    assert asked("Write a Python function that adds.").kind == "code"
    assert asked("Which one?\nA) Paris\nB) Rome").options == {"a": "Paris", "b": "Rome"}
    assert asked("Which one?\n(A) Paris\n(C) Rome").options == {}
    assert asked("A. Not a list of options").options == {}
    given_form = GenerationRequest(RequestId("r"), "Write a function", form=AnswerForm("json"))
    assert expected_form(given_form).kind == "json"
