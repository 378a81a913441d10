"""JSON Schemas as grammars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher

from swarm.domain.tools import ResponseFormat
from swarm.worker.failures import PromptFailure

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

WHITESPACE = r" |\n {0,16}"
"""Between the tokens of JSON: nothing, a blank, or a line break and the indent of eight levels. Bounded, because weak
models would go on with blanks for ever."""
LARGEST_SCHEMA = 2**18
"""Characters."""

STRICT: JsonCompileOptions = {"whitespace_pattern": WHITESPACE, "whitespace_flexible": True, "lenient": False}
LENIENT: JsonCompileOptions = {**STRICT, "lenient": True, "coerce_one_of": True}
"""Keywords that cannot be enforced are left out."""


def format_grammar(format: ResponseFormat) -> str:
    """Raises `PromptFailure`, which names what of the schema cannot be enforced."""
    if format.kind == "json_object":
        return json_grammar({"type": "object"}, STRICT)
    schema = checked_schema(format.schema, "response_format")
    grammar = json_grammar(schema, STRICT)
    refuse_bad_grammar(grammar, "response_format")
    return grammar


def json_grammar(schema: Mapping[str, Any], options: JsonCompileOptions) -> str:
    # As text, since the library takes no integer of more than 64 bits from an object.
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)


def checked_schema(text: str, param: str) -> dict[str, Any]:
    """Without what only the library's own callers may say. Raises `PromptFailure`."""
    if len(text) > LARGEST_SCHEMA:
        raise PromptFailure(f"A JSON schema must have at most {LARGEST_SCHEMA} characters", param=param)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptFailure(f"The JSON schema is not JSON: {error}", param=param) from None
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise PromptFailure("A JSON schema must be a JSON object", param=param)
    return {key: value for key, value in schema.items() if key != "x-guidance"}


def refuse_bad_grammar(grammar: str, param: str) -> None:
    """Raises `PromptFailure` with the library's reason."""
    is_bad, reasons = LLMatcher.validate_grammar_with_warnings(grammar)
    if is_bad:
        raise PromptFailure(
            f"The JSON schema cannot be enforced: {reasons[0].strip()}. Leave out or rewrite that part", param=param
        )
