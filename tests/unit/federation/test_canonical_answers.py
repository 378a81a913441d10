from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.federation.canonical import canonical_answer
from swarm.federation.final_answer import final_answer, visible_text
from swarm.federation.similarity import clusters_of_texts
from tests.unit.federation.answer_pairs import MUST_AGREE, MUST_DIFFER


def agree(left: str, right: str) -> bool:
    ours, theirs = canonical_answer(left), canonical_answer(right)
    if ours.exact or theirs.exact:
        return ours == theirs
    return len(clusters_of_texts([ours.key, theirs.key])) == 1


@pytest.mark.parametrize(("left", "right"), MUST_AGREE)
def test_the_same_answer_said_differently_agrees(left: str, right: str) -> None:
    assert agree(left, right)
    assert agree(right, left)


@pytest.mark.parametrize(("left", "right"), MUST_DIFFER)
def test_different_answers_never_agree(left: str, right: str) -> None:
    assert not agree(left, right)
    assert not agree(right, left)


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


def test_clusters_of_texts_do_not_depend_on_their_order() -> None:
    texts = [text for pair in MUST_AGREE[-2:] for text in pair]
    groups = {frozenset(texts[i] for i in members) for members in clusters_of_texts(texts)}
    backwards = texts[::-1]
    assert groups == {frozenset(backwards[i] for i in members) for members in clusters_of_texts(backwards)}
    assert len(groups) == 2


@pytest.mark.parametrize("piece", [r"\boxed{", "answer is ", "<think>", "1,", "#### 1\n", r"\frac{", "(", "1 ", "1"])
@pytest.mark.timeout(2)
def test_a_text_made_to_be_slow_is_read_quickly(piece: str) -> None:
    canonical_answer(piece * 100_000)
    canonical_answer("The answer is " + piece * 300)
