"""The table of pairs in `answer_pairs.toml`, and what it takes to compare them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from swarm.domain.answers import AnswerForm, ToolCall

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}}}
FORMS = {
    "": AnswerForm(),
    "json": AnswerForm("json"),
    "code": AnswerForm("code"),
    "tools": AnswerForm("tools", tools={"weather": WEATHER}),
    "options": AnswerForm(options={"a": "Paris", "b": "Rome", "c": "Oslo"}),
}


@dataclass(frozen=True)
class Pair:
    """Two answers to one request. `calls` holds the tool calls that they make, where they make some."""

    left: str
    right: str
    same: bool
    form: AnswerForm
    calls: tuple[tuple[ToolCall, ...], tuple[ToolCall, ...]] = ((), ())

    def __str__(self) -> str:
        return f"{self.left[:40]} | {self.right[:40]}"


def pairs() -> tuple[Pair, ...]:
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["pair"]
    return tuple(_with_calls(row) if "tool" in row else _plain(row) for row in rows)


def _plain(row: dict[str, str]) -> Pair:
    return Pair(row["left"], row["right"], bool(row["same"]), FORMS[row.get("form", "")])


def _with_calls(row: dict[str, str]) -> Pair:
    left, right = (ToolCall(row["tool"], row[side]) for side in ("left", "right"))
    return Pair(row["left"], row["right"], bool(row["same"]), FORMS["tools"], ((left,), (right,)))
