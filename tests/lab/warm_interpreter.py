"""Fresh interpreters for little: each is a fork of one that has imported torch, transformers and hivemind already.

A piece of code that imports Petals changes its whole process, so that each needs one of its own; what takes seconds of
that import are the libraries below Petals, which no piece changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class WarmInterpreter:
    """A context manager; `run` is `python -c CODE`."""

    def __enter__(self) -> WarmInterpreter:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def run(self, code: str) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))


def _run(code: str) -> Done:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_execute(code))
        _, status = os.waitpid(child, 0)
        texts = [file.read().decode(errors="replace") for file in (out, err) if file.seek(0) == 0]
    return Done(os.waitstatus_to_exitcode(status), *texts)


def _execute(code: str) -> int:
    result = 0
    try:
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        result = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return result


def main() -> None:
    import hivemind  # noqa: F401
    import transformers.modeling_utils  # noqa: F401

    replies = os.fdopen(os.dup(1), "w")  # What a child prints at its end goes elsewhere.
    for line in sys.stdin:
        replies.write(json.dumps(_run(json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
