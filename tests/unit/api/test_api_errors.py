"""The table of errors is complete, and tells clients whether to come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import swarm.domain.errors as tree
from swarm.api.errors import FAILURES, error_body, failure_of, retry_headers
from swarm.domain.errors import BackendError, PeerError, RequestError, SwarmError, Unavailable
from swarm.wire.codec import MalformedMessage


def descendants(kind: type[SwarmError]) -> Iterator[type[SwarmError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


def test_every_error_of_the_tree_has_its_row() -> None:
    drawn = {kind for kind in vars(tree).values() if isinstance(kind, type) and issubclass(kind, SwarmError)}
    assert set(FAILURES) == drawn


def test_every_error_of_the_program_is_told_in_openais_shape() -> None:
    kinds = set(descendants(SwarmError))
    assert MalformedMessage in kinds
    for kind in kinds:
        error = kind.__new__(kind, "why")
        error.__dict__.update(param=None, code=None, status=400, retry_after_s=1.0, busy=False)
        assert 400 <= failure_of(error).status < 600
        assert set(error_body(error)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        (RequestError("x"), 400, "invalid_request_error"),
        (RequestError("x", status=404), 404, "not_found_error"),
        (RequestError("x", status=413), 413, "invalid_request_error"),
        (Unavailable("x"), 503, "service_unavailable"),
        (Unavailable("x", busy=True), 429, "rate_limit_error"),
        (MalformedMessage("x"), 502, "server_error"),
        (BackendError("x"), 500, "server_error"),
        (KeyError("x"), 500, "server_error"),
    ],
)
def test_who_must_act_decides_the_status(error: Exception, status: int, type_: str) -> None:
    failure = failure_of(error)
    assert (failure.status, failure.type) == (status, type_)


def test_an_unforeseen_error_keeps_its_words_to_itself() -> None:
    assert "secret" not in str(error_body(ValueError("secret")))


def test_clients_are_told_when_to_come_back_and_when_not() -> None:
    assert retry_headers(Unavailable("x", retry_after_s=0.2)) == {"Retry-After": "1"}
    assert retry_headers(Unavailable("x", retry_after_s=7.1, busy=True)) == {"Retry-After": "8"}
    assert retry_headers(RequestError("x")) == {"x-should-retry": "false"}
    assert retry_headers(ValueError("x")) == {"x-should-retry": "false"}
    assert retry_headers(PeerError("x")) == {}
