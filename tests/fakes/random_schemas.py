"""JSON Schemas and prompts drawn at random: nesting, limits, patterns, alternatives, references, required subsets."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

WORDS = ("name", "city", "count", "price", "tags", "unit", "kind", "note", "date", "size", "größe", "full name")
PATTERNS = ("^[A-Z]{3}-[0-9]{4}$", "^(red|green|blue)$", "[0-9]+", "^[a-z]+(_[a-z]+)*$", "^\\+?[0-9]{3,12}$")
FORMATS = ("date", "date-time", "time", "uuid", "ipv4", "email")
ASKED = ("Describe {}.", "Make a record of {}.", "What is 12 + 7? Put {} into it.", "Give me {} as JSON.", "{}")
DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    schema: Schema
    prompt: str

    @property
    def text(self) -> str:
        return json.dumps(self.schema)


def drawn(seed: int) -> Drawn:
    """The same for the same seed."""
    rng = random.Random(seed)
    schema = _object(rng, 0)
    if rng.random() < 0.15:
        schema = {"type": "array", "items": schema, **_limits(rng, "minItems", "maxItems", 2)}
    if rng.random() < 0.3:
        schema = _with_reference(rng, schema)
    return Drawn(schema, rng.choice(ASKED).format(rng.choice(WORDS)))


def _any(rng: random.Random, depth: int) -> Schema:
    plain: list[Callable[[random.Random], Schema]] = [_string, _string, _integer, _number, _constant, _flag]
    nested = [_object, _array, _union] if depth < DEEPEST else []
    chosen = rng.randrange(len(plain) + len(nested))
    return plain[chosen](rng) if chosen < len(plain) else nested[chosen - len(plain)](rng, depth)


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(WORDS, rng.randint(1, 4))
    schema: Schema = {"type": "object", "properties": {name: _any(rng, depth + 1) for name in names}}
    schema["required"] = [name for name in names if rng.random() < 0.6]
    match rng.randrange(3):
        case 0:
            schema["additionalProperties"] = False
        case 1:
            schema["additionalProperties"] = rng.choice([{"type": "integer"}, {"type": "string", "maxLength": 9}])
    return schema


def _array(rng: random.Random, depth: int) -> Schema:
    if rng.random() < 0.2:
        return {"type": "array", "prefixItems": [_any(rng, depth + 1)], "items": False, "minItems": 1}
    return {"type": "array", "items": _any(rng, depth + 1), **_limits(rng, "minItems", "maxItems", 3)}


def _union(rng: random.Random, depth: int) -> Schema:
    if rng.random() < 0.3:
        return {"type": ["string", "null", "integer"]}
    return {"anyOf": [_any(rng, depth + 1), {"type": "null"}, *([_any(rng, depth + 1)] if rng.random() < 0.5 else [])]}


def _string(rng: random.Random) -> Schema:
    match rng.randrange(5):
        case 0:
            return {"type": "string", "pattern": rng.choice(PATTERNS)}
        case 1:
            return {"type": "string", "format": rng.choice(FORMATS)}
        case 2:
            return {"type": "string"}
        case _:
            return {"type": "string", **_limits(rng, "minLength", "maxLength", 12)}


def _integer(rng: random.Random) -> Schema:
    schema: Schema = {"type": "integer"}
    if rng.random() < 0.6:
        low = rng.randint(-50, 50)
        schema |= {"minimum": low, "maximum": low + rng.randint(0, 200)}
    elif rng.random() < 0.5:
        schema |= {"multipleOf": rng.choice([2, 5, 10])}
    return schema


def _number(rng: random.Random) -> Schema:
    low = rng.randint(-5, 5)
    return {
        "type": "number",
        rng.choice(["minimum", "exclusiveMinimum"]): low,
        "maximum": low + rng.choice([1, 2.5, 9]),
    }


def _constant(rng: random.Random) -> Schema:
    choices = ["a", "b c", 'with "quotes"', 7, 2.5, None, True, {"x": 1}, [1, 2]]
    return {"const": rng.choice(choices)} if rng.random() < 0.3 else {"enum": rng.sample(choices, 3)}


def _flag(_: random.Random) -> Schema:
    return {"type": "boolean"}


def _limits(rng: random.Random, least: str, most: str, largest: int) -> Schema:
    low = rng.randint(0, largest)
    return {**({least: low} if rng.random() < 0.5 else {}), **({most: low + rng.randint(0, 4)})}


def _with_reference(rng: random.Random, schema: Schema) -> Schema:
    """A part of it by reference; sometimes one that refers to itself."""
    part: Schema = {"type": "object", "properties": {"id": _integer(rng)}, "required": ["id"]}
    if rng.random() < 0.5:
        part["properties"]["next"] = {"anyOf": [{"$ref": "#/$defs/part"}, {"type": "null"}]}
    whole: Schema = {"type": "object", "properties": {"part": {"$ref": "#/$defs/part"}, "rest": schema}}
    return {**whole, "required": ["part"], "$defs": {"part": part}}
