"""Reading a body by its model: strict types, null as good as absent, unknown keys ignored, errors by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, WithJsonSchema

from swarm.domain.errors import RequestError

T = TypeVar("T", bound="Shape")
Place = tuple[str | int, ...]

PHRASES = (("Input should be", "must be"), ("Value error, ", ""), ("String should", "must"), ("List should", "must"))
"""Of pydantic's words, those that do not follow a parameter's name well."""


class Shape(BaseModel):
    """A JSON object of a request."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def read(kind: type[T], value: Any, place: Place = ()) -> T:
    """Raises `RequestError`, which names the parameter; `place` is where the value stands in the body."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [
            (_known_place(problem["loc"], problem["type"], value), problem["type"], problem["msg"])
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        # Of the branches of a union, the one that got farthest is the one that was meant.
        farthest = max((found for found, _, _ in problems), key=len)
        told = [_in_words(type, message) for found, type, message in problems if found == farthest]
        raise refusal((*place, *farthest), " or ".join(dict.fromkeys(told)) + ".") from None


def refusal(place: Place, problem: str, code: str | None = None) -> RequestError:
    """`problem` follows the parameter's name: "must be a string."."""
    name = path_of(place)
    return RequestError(f"`{name}` {problem}" if name else f"The body {problem}", param=name or None, code=code)


def path_of(place: Place) -> str:
    """`messages[0].content`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _known_place(location: Sequence[str | int], kind: str, value: Any) -> Place:
    """pydantic's location without the names of a union's branches."""
    found: list[str | int] = []
    for index, part in enumerate(location):
        if _has(value, part):
            value = value[part]
        elif not (kind == "missing" and index == len(location) - 1):
            continue
        found.append(part)
    return tuple(found)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _in_words(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind in ("model_type", "dict_type"):
        return "must be an object"
    for theirs, ours in PHRASES:
        message = message.replace(theirs, ours)
    return message


def _neutral(allowed: tuple[Any, ...], value: Any) -> Any:
    if value is None or any(_same(value, harmless) for harmless in allowed):
        return value
    raise ValueError("is not supported by this node; leave it out")


def _same(value: Any, neutral: Any) -> bool:
    """Equal, where true is not 1 and false is not 0: `logprobs: 0` asks for log-probabilities."""
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)


def only(*neutral: Any) -> Any:
    """The type of a parameter that cannot be honoured: only values that change nothing pass, and null always does."""
    return Annotated[Any, AfterValidator(partial(_neutral, neutral)), WithJsonSchema({"enum": [*neutral, None]})]


def half_character(value: Any, place: Place = ()) -> Place | None:
    """Where a string holds a lone UTF-16 surrogate, which is no text; None where none does."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                return place
        case Mapping():
            for key, item in value.items():
                found = half_character(key, (*place, "?")) or half_character(item, (*place, key))
                if found:
                    return found
        case list():
            for index, item in enumerate(value):
                if found := half_character(item, (*place, index)):
                    return found
    return None
