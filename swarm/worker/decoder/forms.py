"""The forms of one model's answers, by what requests ask for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

from swarm.domain.tools import ToolSpec
from swarm.wire.worker_commands import Generate
from swarm.worker.decoder.form import Form, Guide
from swarm.worker.decoder.grammar.calls import CallGrammar, harmony_answer
from swarm.worker.decoder.grammar.guide import CallsOnly, WholeAnswer
from swarm.worker.decoder.grammar.schemas import checked_schema, format_grammar
from swarm.worker.decoder.grammar.vocabulary import GrammarVocabulary
from swarm.worker.decoder.tools.output import open_output
from swarm.worker.decoder.tools.speech import Speech, speech_of
from swarm.worker.failures import PromptFailure

LAST_TOKENS = 8
"""Of a prompt, in which a mark of reasoning is looked for."""


class Forms:
    """Of one loaded model; safe from any thread."""

    def __init__(self, tokenizer: Any, ends: Collection[int], size: int) -> None:
        """`size`: of the logits."""
        self._tokenizer, self._ends, self._size = tokenizer, ends, size
        self._vocabulary: GrammarVocabulary | None = None
        self._lock = threading.Lock()

    def open(self, command: Generate, prompt: Sequence[int]) -> Form:
        """`prompt`: its tokens. Raises `PromptFailure` for a form that cannot be enforced."""
        speech = speech_of(self._tokenizer)
        is_chat = isinstance(command.prompt, tuple)
        tools = offered_tools(command) if is_chat else ()
        marks = speech.thinking if is_chat else None
        thinks = marks is not None and self._ends_with(prompt, marks.open)
        format = speech.format if tools or (is_chat and speech.format.reader == "harmony") else None
        guide = self._guide(command, speech, tools, thinks=thinks)
        if marks is None and format is None:
            return Form(guide=guide)
        seen = (*(format.marks + format.also_seen if format else ()), *((marks.open, marks.close) if marks else ()))
        return Form(
            open_output(marks, thinks, format, tools),
            guide,
            several=command.parallel_tool_calls,
            id_chars=speech.format.id_chars,
            seen=[speech.specials[mark] for mark in seen if mark in speech.specials],
        )

    def _guide(self, command: Generate, speech: Speech, tools: tuple[ToolSpec, ...], *, thinks: bool) -> Guide | None:
        mode = command.tool_choice.mode
        several = command.parallel_tool_calls and mode != "named"
        calls = CallGrammar(speech.format, tools, several, speech.specials)
        if tools and mode in ("required", "named"):
            return self._whole(command, speech, calls.whole(), thinks=thinks)
        if command.response_format.kind != "text":
            grammar = calls.whole(_answer_schema(command)) if tools else _answer_grammar(command, speech)
            return self._whole(command, speech, grammar, thinks=thinks)
        if tools and speech.format.reader in ("json", "bare_json"):
            calls.after(speech.format.opens[0])  # a strict schema that cannot be enforced is refused at once
            return CallsOnly(self._grammar_vocabulary(), lambda: calls.after(speech.format.opens[0]))
        return None

    def _whole(self, command: Generate, speech: Speech, grammar: str, *, thinks: bool) -> WholeAnswer:
        vocabulary = self._grammar_vocabulary()
        if problem := vocabulary.matcher(grammar).get_error():
            raise PromptFailure(f"This form of answer cannot be enforced: {problem}", param="response_format")
        open = speech.thinking.open if speech.thinking and isinstance(command.prompt, tuple) else ""
        ids = self._tokenizer.encode(open, add_special_tokens=False) if open else []
        return WholeAnswer(vocabulary, grammar, thinks=thinks, may_think=ids[0] if len(ids) == 1 else None)

    def _ends_with(self, prompt: Sequence[int], mark: str) -> bool:
        end = self._tokenizer.decode(prompt[-LAST_TOKENS:], skip_special_tokens=False)
        return str(end).rstrip().endswith(mark)

    def _grammar_vocabulary(self) -> GrammarVocabulary:
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = GrammarVocabulary(self._tokenizer, self._ends, self._size)
            return self._vocabulary


def offered_tools(command: Generate) -> tuple[ToolSpec, ...]:
    """Those that the model is told of. Raises `PromptFailure` where the one that must be called is none of them."""
    choice = command.tool_choice
    if choice.mode == "none":
        return ()
    if choice.mode == "named" and all(tool.name != choice.name for tool in command.tools):
        raise PromptFailure(f"There is no function {choice.name!r} among the tools", param="tool_choice")
    return tuple(tool for tool in command.tools if choice.mode != "named" or tool.name == choice.name)


def _answer_grammar(command: Generate, speech: Speech) -> str:
    grammar = format_grammar(command.response_format)
    if speech.format.reader != "harmony" or not isinstance(command.prompt, tuple):
        return grammar
    return harmony_answer(_answer_schema(command), speech.specials)


def _answer_schema(command: Generate) -> dict[str, Any]:
    return checked_schema(command.response_format.schema or '{"type": "object"}', "response_format")
