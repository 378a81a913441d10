"""Stop strings end an answer wherever the borders of its pieces fall."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.worker.decoder.stops import StopFinder


def shown(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    finder = StopFinder(stops)
    text = "".join(finder.add(piece) for piece in pieces)
    return text + finder.finish(), finder.found


def test_text_before_the_stop_string_is_shown_and_the_stop_string_is_not() -> None:
    assert shown(["END"], ["one E", "N", "D two"]) == ("one ", True)


def test_a_beginning_that_turns_out_to_be_none_is_shown() -> None:
    assert shown(["END"], ["one EN", "GINE"]) == ("one ENGINE", False)


def test_nothing_is_held_back_that_cannot_begin_a_stop_string() -> None:
    finder = StopFinder(["\n\n"])
    assert finder.add("a line") == "a line"
    assert finder.add("\n") == ""


def test_the_stop_string_that_completes_first_wins() -> None:
    assert shown(["abcdef", "cd"], ["abcdef"]) == ("ab", True)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.randoms())
def test_the_cut_does_not_depend_on_the_pieces(text: str, stops: list[str], rng: object) -> None:
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    expected = text[: min(ends)[1]] if ends else text
    pieces, rest = [], text
    while rest:
        size = rng.randint(1, 4)  # type: ignore[attr-defined]
        pieces.append(rest[:size])
        rest = rest[size:]
    made, found = shown(stops, pieces)
    assert (made, found) == (expected, bool(ends))
