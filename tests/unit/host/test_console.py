"""The progress bar."""

from __future__ import annotations

import io

import pytest

from swarm.domain.nodes import Progress
from swarm.host.console import CLEAR_LINE, ProgressBar, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_sees_nothing() -> None:
    stream = io.StringIO()
    ProgressBar(stream).show(Progress("loading", 0.5))
    assert stream.getvalue() == ""


def test_what_looks_the_same_is_drawn_once_and_taken_away_at_the_end() -> None:
    stream = Terminal()
    bar = ProgressBar(stream)
    for fraction in (0.5, 0.5001, 0.6):
        bar.show(Progress("loading", fraction))
    bar.show(None)
    assert stream.getvalue().count(CLEAR_LINE) == 3
    assert stream.getvalue().endswith(CLEAR_LINE)


def test_half_done() -> None:
    assert progress_line(Progress("loading", 0.5), 80) == "loading [############            ]  50 %"


@pytest.mark.parametrize(("fraction", "end"), [(0.999, " 99 %"), (1.0, "100 %"), (7.0, "100 %"), (-1.0, "  0 %")])
def test_done_means_done(fraction: float, end: str) -> None:
    assert progress_line(Progress("x", fraction), 80).endswith(end)


def test_an_unknown_end_has_no_bar() -> None:
    assert progress_line(Progress("waiting for others"), 80) == "waiting for others ..."


@pytest.mark.parametrize("width", [2, 10, 30, 50, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for fraction in (None, 0.3):
        assert len(progress_line(Progress("a long piece of work" * 9, fraction), width)) < width


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert progress_line(Progress("a\x1b[2Jb\n"), 80).isprintable()
