"""Calls of functions as a grammar, in the words of a family's format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from swarm.domain.tools import ToolSpec
from swarm.worker.decoder.grammar.schemas import LENIENT, STRICT, checked_schema, json_grammar, refuse_bad_grammar
from swarm.worker.decoder.tools.formats import ToolFormat

MOST_CALLS = 16
"""In one answer: weak models would go on with calls for ever."""
_BLANKS = r"/[ \n]?/"
ANYTHING = {"type": "object"}
HARMONY_THINKING = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"
HARMONY_ANSWER = "<|channel|>final<|message|>"


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """`specials`: the ids of strings that are one special token, which grammars must name by id."""

    format: ToolFormat
    tools: Sequence[ToolSpec]
    several: bool
    specials: Mapping[str, int]

    def whole(self, answer: Mapping[str, Any] | None = None) -> str:
        """At least one call and nothing else, or an answer of this schema. Raises `PromptFailure` for a strict schema
        that cannot be enforced."""
        calls = [self._literal(self.format.first), "call", self._more(), self._literal(self.format.last)]
        return self._grammar(" ".join(part for part in calls if part), self.format.before, answer=answer)

    def after(self, mark: str) -> str:
        """What follows the mark that a model wrote by itself."""
        before, first = self.format.before, self.format.first
        if mark in before:
            return self._grammar("call", before.partition(mark)[2], blanks=True)
        rest = first.partition(mark)[2]
        calls = [_BLANKS, self._literal(rest.lstrip()), "call", self._more(), self._literal(self.format.last)]
        return self._grammar(" ".join(part for part in calls if part), before)

    def _more(self) -> str:
        if not self.several or self.format.separator is None:
            return ""
        return f"({self._literal(self.format.separator)} call){{0,{MOST_CALLS - 1}}}"

    def _grammar(
        self, calls: str, before: str, *, blanks: bool = False, answer: Mapping[str, Any] | None = None
    ) -> str:
        opening = f"{_BLANKS} {self._literal(before.lstrip())}" if blanks else self._literal(before)
        rules = [f"start: {self._thinking()}({calls}{' | answer' if answer is not None else ''})"]
        if self.format.reader == "harmony":
            rules += _thinking_rules(self.specials)
        if answer is not None:
            final = self._literal(HARMONY_ANSWER) if self.format.reader == "harmony" else ""
            rules.append(f"answer: {final} %json {_with_options(answer, STRICT)}")
        rules.append("call: " + " | ".join(f"call{at}" for at in range(len(self.tools))))
        for at, tool in enumerate(self.tools):
            name = self._literal(json.dumps(tool.name)[1:-1] + self.format.between)
            rules.append(f"call{at}: {opening} {name} %json {_parameters(tool)} {self._literal(self.format.after)}")
        return LLMatcher.grammar_from_lark("\n".join(rules))

    def _thinking(self) -> str:
        return "thinking? " if self.format.reader == "harmony" else ""

    def _literal(self, text: str) -> str:
        return literal(text, self.specials)


def harmony_answer(schema: Mapping[str, Any], specials: Mapping[str, int]) -> str:
    """An answer in the final channel that is JSON of this schema, with or without reasoning before it."""
    answer = f"{literal(HARMONY_ANSWER, specials)} %json {_with_options(schema, STRICT)}"
    return LLMatcher.grammar_from_lark("\n".join([f"start: thinking? {answer}", *_thinking_rules(specials)]))


def _thinking_rules(specials: Mapping[str, int]) -> list[str]:
    open, close = (literal(text, specials) for text in HARMONY_THINKING)
    return [f"thinking: {open} THOUGHT {close}", r"THOUGHT: /(.|\n)*/"]


def literal(text: str, specials: Mapping[str, int]) -> str:
    """In Lark; empty for no text."""
    marks = "|".join(re.escape(mark) for mark in sorted(specials, key=len, reverse=True))
    pieces = re.split(f"({marks})", text) if marks else [text]
    return " ".join(
        f"<[{specials[piece]}]>" if piece in specials else json.dumps(piece, ensure_ascii=False)
        for piece in pieces
        if piece
    )


def _parameters(tool: ToolSpec) -> str:
    """Those of a function that is not strict are enforced as far as can be."""
    schema = {**ANYTHING, **checked_schema(tool.parameters or "{}", "tools")}
    if tool.strict:
        refuse_bad_grammar(json_grammar(schema, STRICT), "tools")
        return _with_options(schema, STRICT)
    is_bad, _ = LLMatcher.validate_grammar_with_warnings(json_grammar(schema, LENIENT))
    return _with_options(ANYTHING if is_bad else schema, LENIENT)


def _with_options(schema: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": options})
