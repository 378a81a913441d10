"""A line on the terminal that shows how long work goes on; nothing where stderr is not a terminal."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from swarm.domain.nodes import Progress

CLEAR_LINE = "\r\x1b[K"
"""Log lines start with it on a terminal, so that they replace the bar; the next update draws it anew."""
BAR_WIDTH = 24
"""Characters."""


class ProgressBar:
    """Draws over itself. `show` may be called as often as news comes: what looks the same is not drawn again."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = ""

    def show(self, progress: Progress | None) -> None:
        """None takes the bar away."""
        line = "" if progress is None else progress_line(progress, _width(self._stream))
        if line == self._shown or not self._stream.isatty():
            return
        self._shown = line
        self._stream.write(CLEAR_LINE + line)
        self._stream.flush()


def progress_line(progress: Progress, width: int) -> str:
    """`loading the weights [######      ]  50 %`, cut to the terminal's width, which a longer line would break."""
    what = "".join(character if character.isprintable() else "?" for character in progress.what)
    if progress.fraction is None:
        return f"{what} ..."[: width - 1]
    fraction = min(1.0, max(0.0, progress.fraction))
    bar = "#" * round(fraction * BAR_WIDTH)
    # Down, not to the nearest: 100 % means that it is done.
    tail = f" [{bar:<{BAR_WIDTH}}] {int(fraction * 100):3d} %"
    return (what[: max(0, width - 1 - len(tail))] + tail)[: width - 1]


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
