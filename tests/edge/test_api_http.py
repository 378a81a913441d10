"""Bytes, headers and statuses of a real server on loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import msgpack
import pytest

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, ConfigError, Unavailable
from swarm.domain.federation import DecisionRecord
from swarm.domain.generation import ChatMessage, Sampling
from swarm.domain.ids import RequestId
from swarm.domain.nodes import NodeStatus, Progress
from swarm.wire.codec import MSGPACK_TYPE, pack, unpack
from swarm.wire.federation_messages import Goodbye, PeersReply, VoteReply, VoteRequest
from tests.fakes.api_node import BALLOT, NODE, READY, VOTE, FakeNode, FakeTools, ScriptedAnswers, peer

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


@asynccontextmanager
async def session_of(node: FakeNode, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        ApiServer(node.services(), ApiSettings(**{"port": 0, **settings}), "127.0.0.1") as server,
        aiohttp.ClientSession(f"http://{server.endpoint}", timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield session


async def events_of(response: aiohttp.ClientResponse) -> list[str]:
    return (await response.text()).split("\n\n")


async def test_token_ids_come_beside_their_text_as_vllm_gives_them() -> None:
    async with session_of(FakeNode()) as session:
        async with session.post("/v1/chat/completions", json=CHAT | {"stream": True, "return_token_ids": True}) as r:
            events = await events_of(r)
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert [chunk["choices"][0].get("token_ids") for chunk in chunks] == [None, [0], [1], []]
        async with session.post("/v1/completions", json={"prompt": "x", "return_token_ids": True}) as r:
            assert (await r.json())["choices"][0]["token_ids"] == [0, 1]


async def test_a_stream_is_framed_as_the_protocol_says() -> None:
    async with (
        session_of(FakeNode()) as session,
        session.post("/v1/chat/completions", json=CHAT | {"stream": True}) as r,
    ):
        assert r.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert r.headers["Cache-Control"] == "no-cache"
        assert r.headers["X-Request-Id"]
        events = await events_of(r)
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[-1]["swarm"]["nodes"] == [NODE]
    assert not any("usage" in chunk for chunk in chunks)


async def test_a_silent_stream_says_that_it_waits() -> None:
    node = FakeNode(ScriptedAnswers(hold_at=0))
    async with session_of(node, keep_alive_s=0.02) as session:
        response = await session.post("/v1/chat/completions", json=CHAT | {"stream": True})
        assert await response.content.readuntil(b"\n\n") == b": waiting\n\n"
        node.answers.go.set()
        assert "data: [DONE]" in await events_of(response)


async def test_an_error_amid_a_stream_is_an_event_and_then_the_end() -> None:
    node = FakeNode(ScriptedAnswers(error=BackendError("the worker ended"), error_at=1))
    async with session_of(node) as session:
        async with session.post("/v1/chat/completions", json=CHAT | {"stream": True}) as r:
            events = await events_of(r)
        record = (await (await session.get("/v1/federation/requests")).json())["requests"][0]
    assert json.loads(events[-3].removeprefix("data: "))["error"]["code"] == "backend_failed"
    assert events[-2:] == ["data: [DONE]", ""]
    assert (record["outcome"], record["status"]) == ("failed", 500)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_leaves_stops_the_generation(stream: bool) -> None:
    node = FakeNode(ScriptedAnswers(hold_at=1))
    async with session_of(node) as session:
        asking = asyncio.create_task(_read_all(session, CHAT | {"stream": stream}))
        async with asyncio.timeout(30):
            while not node.answers.asked:
                await asyncio.sleep(0.01)
            asking.cancel()
            await node.answers.closed.wait()
        with pytest.raises(asyncio.CancelledError):
            await asking
        record = (await (await session.get("/v1/federation/requests")).json())["requests"][0]
    assert record["outcome"] == "abandoned"


async def _read_all(session: aiohttp.ClientSession, body: dict[str, Any]) -> bytes:
    async with session.post("/v1/chat/completions", json=body) as response:
        return await response.read()


async def test_stopping_lets_an_answer_finish_and_cancels_what_takes_too_long() -> None:
    for drain_s, finishes in ((5.0, True), (0.05, False)):
        node = FakeNode(ScriptedAnswers(hold_at=1))
        server = ApiServer(node.services(), ApiSettings(port=0, drain_s=drain_s), "127.0.0.1")
        async with aiohttp.ClientSession() as session:
            async with server:
                url = f"http://{server.endpoint}/v1/chat/completions"
                response = await session.post(url, json=CHAT | {"stream": True})
                if finishes:
                    asyncio.get_running_loop().call_later(0.05, node.answers.go.set)
            assert node.answers.closed.is_set()
            if finishes:
                assert "data: [DONE]" in await events_of(response)
            else:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()


async def test_a_node_that_loads_says_how_far_it_is() -> None:
    loading = replace(READY, state="loading", model=None, progress=Progress("reading weights", 0.5))
    node = FakeNode(ScriptedAnswers(error=Unavailable("The model is loading.", retry_after_s=2.5)), status=loading)
    async with session_of(node) as session:
        for response in (await session.post("/v1/chat/completions", json=CHAT), await session.get("/health")):
            body = await response.json()
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 2
            assert body["error"]["type"] == "service_unavailable"
            assert (body["state"], body["progress"]) == ("loading", {"what": "reading weights", "fraction": 0.5})
        assert (await session.get("/v1/federation/health")).status == 200


async def test_a_ready_node_is_healthy() -> None:
    async with session_of(FakeNode(peers=(peer("pc", "b" * 32),))) as session:
        response = await session.get("/health")
        told = await response.json()
        probe = told.pop("probe")
    assert told == {"status": "ok", "state": "ready", "model": "demo/tiny", "peers": 1, "coverage": None}
    assert probe["route"] == "chain"
    assert [hop["seconds"] for hop in probe["hops"]] == [0.004, 0.006]
    assert probe["age_s"] < 60


async def test_health_is_proved_by_a_token_and_many_who_ask_cost_one() -> None:
    node = FakeNode()
    async with session_of(node) as session:
        replies = await asyncio.gather(*(session.get("/health") for _ in range(5)))
        assert [reply.status for reply in replies] == [200] * 5
        assert node.tools.probes == 1
    node = FakeNode(tools=FakeTools(error=BackendError("the worker ended")))
    async with session_of(node) as session:
        for _ in range(2):
            reply = await session.get("/health")
            assert reply.status == 503
            assert "the worker ended" in (await reply.json())["error"]["message"]
        assert node.tools.probes == 2


async def test_embeddings_come_as_numbers_or_base64_and_may_be_shortened() -> None:
    node = FakeNode()
    async with session_of(node) as session:

        async def ask(**body: Any) -> Any:
            reply = await session.post("/v1/embeddings", json=body)
            return reply.status, await reply.json()

        status, told = await ask(input=["a", "b"])
        assert status == 200
        assert [entry["embedding"] for entry in told["data"]] == [[0.6, 0.0, -0.8]] * 2
        assert told["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
        _, told = await ask(input=[1, 2], encoding_format="base64")
        assert struct.unpack("<3f", base64.b64decode(told["data"][0]["embedding"])) == pytest.approx((0.6, 0, -0.8))
        _, told = await ask(input="a", dimensions=2)
        assert told["data"][0]["embedding"] == [1.0, 0.0]
        for bad in ({"dimensions": 4}, {"dimensions": 0}, {"input": []}, {"encoding_format": "int8"}):
            assert (await ask(**({"input": "a"} | bad)))[0] == 400
        assert (await ask(input="a", model="nobody/has-it"))[1]["error"]["code"] == "model_not_found"


async def test_tokens_are_counted_and_turned_back() -> None:
    async with session_of(FakeNode()) as session:
        for path in ("/tokenize", "/v1/tokenize"):
            told = await (await session.post(path, json={"prompt": "ab", "return_token_strs": True})).json()
            assert told == {"count": 2, "max_model_len": 2048, "tokens": [97, 98], "token_strs": ["a", "b"]}
        assert (await session.post("/tokenize", json=CHAT)).status == 200
        assert (await session.post("/tokenize", json={})).status == 400
        told = await (await session.post("/detokenize", json={"tokens": [97, 98]})).json()
        assert told["prompt"] == "ab"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/nowhere", b"", {}, 404),
        ("GET", "/v1/chat/completions", b"", {}, 405),
        ("POST", "/v1/chat/completions", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/chat/completions", b"{", {}, 400),
        ("POST", "/v1/chat/completions", b"[" * 100_000, {}, 400),
        ("POST", "/v1/chat/completions", b'{"temperature": NaN}', {}, 400),
        ("POST", "/v1/chat/completions", b"[]", {}, 400),
        ("POST", "/v1/chat/completions", b"\xff\xfe{}", {}, 400),
        ("POST", "/v1/chat/completions", b" " * 200_001, {}, 413),
        ("POST", "/v1/chat/completions", b"{}", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/v1/federation/vote", b" " * (2**20 + 1), {}, 413),
        ("POST", "/v1/federation/vote", b"{}", {}, 400),
        ("POST", "/v1/federation/vote", b"\xc1", {"Content-Type": MSGPACK_TYPE}, 400),
        ("POST", "/v1/federation/vote", b"{}", {"Content-Type": "text/plain"}, 415),
        ("GET", "/health", b"", {"Host": "evil.example"}, 403),
        ("POST", "/v1/chat/completions", b"{}", {"Origin": "http://evil.example"}, 403),
        ("POST", "/v1/federation/goodbye", b"{}", {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_every_refusal_has_openais_shape(
    method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "mine", **headers}
    async with session_of(FakeNode(), body_limit_bytes=200_000) as session:
        response = await session.request(method, path, data=io.BytesIO(body) if body else None, headers=headers)
        assert response.status == status
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}
        assert response.headers["X-Request-Id"] == "mine"
        assert response.headers["x-should-retry"] == "false"


async def test_a_chunked_body_is_bounded_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 1024

    async with session_of(FakeNode(), body_limit_bytes=4096) as session:
        headers = {"Content-Type": "application/json"}
        response = await session.post("/v1/chat/completions", data=endless(), headers=headers)
        assert response.status == 413


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.api.bodies.PATIENCE_S", 0.02)
    async with ApiServer(FakeNode().services(), ApiSettings(port=0), "127.0.0.1") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.port)
        writer.write(b"POST /completions HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n")
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer


async def test_a_caller_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.api.sse.SEND_TIMEOUT_S", 0.05)
    node = FakeNode(ScriptedAnswers(texts=["x" * 2**20] * 64))
    async with session_of(node) as session:
        response = await session.post("/v1/chat/completions", json=CHAT | {"stream": True})
        async with asyncio.timeout(30):
            await node.answers.closed.wait()
        response.close()
        record = (await (await session.get("/v1/federation/requests")).json())["requests"][0]
    assert record["outcome"] == "abandoned"


async def test_what_is_not_http_is_answered_and_not_logged_as_our_error(caplog: pytest.LogCaptureFixture) -> None:
    async with ApiServer(FakeNode().services(), ApiSettings(port=0), "127.0.0.1") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        async with asyncio.timeout(30):
            assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
        writer.close()
        await writer.wait_closed()
    assert not caplog.records


async def test_paths_without_v1_and_the_alone_header_work() -> None:
    node = FakeNode()
    async with session_of(node) as session:
        response = await session.post("/chat/completions", json=CHAT, headers={"X-Swarm-Alone": "1"})
        assert response.status == 200
        assert (await session.get("/models")).status == 200
    assert node.answers.asked[0].alone


async def test_a_vote_is_this_nodes_own_and_travels_as_msgpack_or_json() -> None:
    node = FakeNode()
    asked = VoteRequest("their-id", (ChatMessage("user", "2+2?"),), Sampling(temperature=0.5, seed=3))
    headers = {"Content-Type": MSGPACK_TYPE, "Accept": MSGPACK_TYPE}
    async with session_of(node) as session:
        packed = await session.post("/v1/federation/vote", data=pack(asked), headers=headers)
        assert unpack(VoteReply, await packed.read()).votes == (VOTE,)
        plain = {"id": "x", "prompt": "2+2?", "sampling": {}}
        assert (await (await session.post("/v1/federation/vote", json=plain)).json())["votes"][0]["text"] == "four"
        bad = plain | {"sampling": {"temperature": 9}}
        assert (await session.post("/v1/federation/vote", json=bad)).status == 400
        old = plain | {"protocol": 99}
        assert (await (await session.post("/v1/federation/vote", json=old)).json())["error"][
            "code"
        ] == "protocol_mismatch"
    assert [(request.alone, request.sampling.temperature) for request in node.voted] == [(True, 0.5), (True, 1.0)]
    assert node.voted[0].prompt == asked.prompt


async def test_nodes_read_status_and_peers_and_say_goodbye() -> None:
    node = FakeNode(peers=(peer("pc", "b" * 32),))
    accept = {"Accept": MSGPACK_TYPE}
    async with session_of(node) as session:
        health = await (await session.get("/v1/federation/health", headers=accept)).read()
        assert unpack(NodeStatus, health) == READY
        peers = await (await session.get("/v1/federation/peers", headers=accept)).read()
        assert unpack(PeersReply, peers) == PeersReply(READY, node.peers)
        goodbye = await session.post(
            "/v1/federation/goodbye",
            data=msgpack.packb({"node": "b", "boot": "c"}),
            headers={"Content-Type": MSGPACK_TYPE},
        )
        assert goodbye.status == 204
        assert (await session.post("/v1/federation/goodbye", json={"node": "", "boot": ""})).status == 400
    assert node.goodbyes == [Goodbye("b", "c").node]


async def test_recent_requests_hold_no_text() -> None:
    async with session_of(FakeNode(ScriptedAnswers(texts=["the answer"]))) as session:
        await session.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "a secret"}]})
        text = await (await session.get("/v1/federation/requests")).text()
    record = json.loads(text)["requests"][0]
    assert "secret" not in text
    assert "the answer" not in text
    assert (record["kind"], record["route"], record["tokens"], record["outcome"]) == ("chat", "local", 1, "answered")


async def test_the_page_runs_nothing_but_its_own_files() -> None:
    async with session_of(FakeNode()) as session:
        page = await session.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
        assert page.status == 200
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        for name, kind in (
            ("page.css", "text/css"),
            ("page.js", "text/javascript"),
            ("decisions.js", "text/javascript"),
            ("icon.svg", "image/svg+xml"),
        ):
            file = await session.get(f"/page/{name}")
            assert (file.status, file.content_type) == (200, kind)
        assert (await session.get("/page/..%2fserver.py")).status == 404


async def test_a_port_in_use_gives_way_to_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with ApiServer(FakeNode().services(), ApiSettings(port=port), "127.0.0.1") as server:
            assert port < server.endpoint.port <= port + 10
        with pytest.raises(ConfigError, match="in use"):
            async with ApiServer(FakeNode().services(), ApiSettings(port=port, port_tries=0), "127.0.0.1"):
                pass


async def test_an_address_that_is_not_this_machines_is_a_plain_error() -> None:
    for host in ("", "203.0.113.1"):
        with pytest.raises(ConfigError, match=r"api\.host"):
            async with ApiServer(FakeNode().services(), ApiSettings(port=0), host):
                pass


async def test_a_vote_tells_how_it_gets_on_while_there_is_no_text() -> None:
    answers = ScriptedAnswers(hold_at=0, progress="swarm 3/5 answered, leader 2")
    async with (
        session_of(FakeNode(answers), keep_alive_s=0.05) as session,
        session.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response,
    ):
        lines = [await response.content.readline() for _ in range(4)]
        assert lines[0] == lines[2] == b": swarm 3/5 answered, leader 2\n"
        answers.go.set()
        rest = await events_of(response)
    assert rest[-2] == "data: [DONE]"
    assert sum('"role"' in event for event in rest) == 1


async def test_the_last_decisions_can_be_read() -> None:
    record = DecisionRecord(
        RequestId("r"), 1.0, 0.5, "weighted_vote", NODE, "demo/tiny", 1.0, 1.0, True, "all agree", (BALLOT,)
    )
    node = FakeNode(decisions=(record,))
    async with session_of(node) as session, session.get("/v1/federation/decisions") as response:
        (told,) = (await response.json())["decisions"]
    assert told["ballots"][0]["node"] == NODE
    assert told["prompt"] is None


ORIGIN = "http://localhost:3000"


async def test_pages_of_configured_origins_may_call_and_send_whatever_headers_they_name() -> None:
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-stainless-new-this-year",
        "Sec-Fetch-Site": "cross-site",
    }
    async with session_of(FakeNode(), cors_origins=(ORIGIN,), keys=("a-long-key",)) as session:
        asked = await session.options("/v1/chat/completions", headers=preflight)
        assert asked.status == 204
        assert asked.headers["Access-Control-Allow-Headers"] == "content-type,x-stainless-new-this-year"
        assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert asked.headers["Vary"] == "Origin, Access-Control-Request-Headers"
        strange = await session.options("/v1/chat/completions", headers=preflight | {"Origin": "http://evil.example"})
        assert strange.status == 403
        assert "Access-Control-Allow-Origin" not in strange.headers
        headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Authorization": "Bearer a-long-key"}
        for stream in (False, True):
            reply = await session.post("/v1/chat/completions", json=CHAT | {"stream": stream}, headers=headers)
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        refused = await session.post("/v1/chat/completions", json=CHAT, headers={"Origin": ORIGIN})
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong-key", 401),
        ("Basic first-key", 401),
        ("Bearer first-kéy", 401),
        ("Bearer first-key", 200),
        ("bearer other-key", 200),
    ],
)
async def test_a_key_is_asked_for_where_some_are_configured(authorization: str | None, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with session_of(FakeNode(), keys=("first-key", "other-key")) as session:
        for path in ("/v1/chat/completions", "/chat/completions"):
            response = await session.post(path, json=CHAT, headers=headers)
            assert response.status == status
        if status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await response.json())["error"]["code"] == "invalid_api_key"
        assert (await session.get("/v1/models", headers=headers)).status == status
        for path in ("/health", "/", "/v1/federation/peers"):
            assert (await session.get(path)).status == 200


async def test_bytes_that_are_not_http_get_the_same_shape_of_error() -> None:
    async with ApiServer(FakeNode().services(), ApiSettings(port=0), "127.0.0.1") as server:
        for sent in (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", b"\x16\x03\x01\x00", b"GET / HTTP/9"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.endpoint.port)
            writer.write(sent + b"\r\n\r\n")
            async with asyncio.timeout(30):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            assert b" 400 " in head.splitlines()[0]
            assert b"X-Request-Id: id" in head
            assert json.loads(body)["error"]["code"] == "malformed_request"


async def test_a_full_queue_says_where_one_would_stand_and_when_to_come_back() -> None:
    busy = Unavailable("All slots are in use.", retry_after_s=12.3, busy=True, position=5)
    async with session_of(FakeNode(ScriptedAnswers(error=busy))) as session:
        reply = await session.post("/v1/chat/completions", json=CHAT)
        assert (reply.status, reply.headers["Retry-After"]) == (429, "13")
        assert (await reply.json())["queue"] == {"position": 5, "estimate_s": 12.3}


async def test_clients_are_told_apart_by_key_where_keys_are_asked_for() -> None:
    for keys, several in (((), False), (("first-key", "other-key"), True)):
        node = FakeNode()
        async with session_of(node, keys=keys) as session:
            for key in ("first-key", "other-key"):
                await session.post("/v1/chat/completions", json=CHAT, headers={"Authorization": f"Bearer {key}"})
        clients = {request.client for request in node.answers.asked}
        assert len(clients) == (2 if several else 1)
        assert not any("key" in client for client in clients)
