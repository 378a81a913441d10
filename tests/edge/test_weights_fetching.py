"""Weights from other nodes over real sockets, while these die, lie, lag or forget."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, PeerError
from swarm.domain.ids import NodeId
from swarm.domain.nodes import ModelInfo, PeerInfo, Progress
from swarm.domain.weights import PIECE_BYTES, FileRange, WeightsOffer
from swarm.host.clock import SystemClock
from swarm.host.files import write_atomically
from swarm.peering.weights import WeightsClient
from swarm.ports.clock import Clock
from swarm.weights.fetching import Surroundings
from swarm.weights.hashes import HashMemory
from swarm.weights.rate import RateLimit
from swarm.weights.settings import WeightsSettings
from swarm.weights.shelf import Shelf
from swarm.weights.sources import Excluded
from swarm.weights.store import FoundModel, WeightsStore
from tests.fakes.api_node import READY, FakeNode, peer

MODEL = ModelInfo("org/made-up", "digest1", 4, 128)
PIECES = 6
SIZE = (PIECES - 1) * PIECE_BYTES + 4321
WHOLE = FileRange("model.safetensors", 0, SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random bytes behind a safetensors header."""
    made = tmp_path_factory.mktemp("checkpoint")
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    body = os.urandom(SIZE - 8 - len(header))
    (made / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
    (made / "config.json").write_text("{}")
    return made


Before = Callable[[int], Awaitable[Path | None]]


class TroubledShelf(Shelf):
    """`trouble` is asked before each piece is sent, with the number of those before; a path is sent instead."""

    def __init__(self, memory: HashMemory, limit: RateLimit, trouble: Before | None = None) -> None:
        super().__init__(memory, limit)
        self._trouble = trouble
        self.sent: list[tuple[int, int]] = []
        self.forgets = False

    async def locate(self, digest: str, start: int, end: int) -> Path | None:
        path = await super().locate(digest, start, end)
        if end - start < 1000 or path is None or self._trouble is None:  # The small files come without trouble.
            return path
        self.sent.append((start, end))
        other = await self._trouble(len(self.sent) - 1)
        return None if self.forgets else other or path


@dataclass
class OneSource:
    shelf: TroubledShelf
    server: ApiServer
    stack: AsyncExitStack
    info: PeerInfo

    async def stop(self) -> None:
        await self.stack.aclose()


@dataclass
class Site:
    """Sources on loopback and one node that lacks the model."""

    root: Path
    folder: Path
    stack: AsyncExitStack
    sources: list[OneSource] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    blamed: list[NodeId] = field(default_factory=list)

    async def source(self, trouble: Before | None = None, rate: float = 0.0) -> OneSource:
        name = f"source{len(self.sources)}"
        shelf = TroubledShelf(HashMemory(self.root / name, write_atomically), RateLimit(rate, SystemClock()), trouble)
        shelf.put(MODEL, self.folder)
        running = asyncio.create_task(shelf.run())
        self.stack.callback(running.cancel)
        stack = await self.stack.enter_async_context(AsyncExitStack())
        server = await stack.enter_async_context(
            ApiServer(replace(FakeNode().services(), weights=shelf), ApiSettings(port=0, drain_s=0), "127.0.0.1")
        )
        status = replace(READY, node=NodeId(name), model=MODEL)
        info = peer(name, name, endpoint=server.endpoint, status=status)
        self.sources.append(OneSource(shelf, server, stack, info))
        return self.sources[-1]

    def peers(self) -> tuple[PeerInfo, ...]:
        return tuple(source.info for source in self.sources)

    async def newcomer(self, name: str = "newcomer", clock: Clock | None = None, **settings: float) -> WeightsStore:
        chosen = WeightsSettings(look_s=0.5, **{"patience_s": 20.0, **settings})
        link = await self.stack.enter_async_context(WeightsClient())
        around = Surroundings(
            link,
            self.peers,
            clock or SystemClock(),
            RateLimit(0, SystemClock()),
            Excluded(self.blamed.append),
            chosen.patience_s,
            NodeId(name),
        )
        memory = HashMemory(self.root / "hashes", write_atomically)
        self.shelf_of_newcomer = Shelf(memory, RateLimit(0, SystemClock()))
        return WeightsStore(chosen, self.root / name / "hub", around, self.shelf_of_newcomer, memory, write_atomically)

    async def fetch(self, store: WeightsStore) -> FoundModel:
        found = await store.find(MODEL.id, self.told.append)
        assert found is not None
        await store.fill(found.folder, [WHOLE], self.told.append)
        return found

    def is_same(self, found: FoundModel) -> bool:
        return (found.folder / WHOLE.file).read_bytes() == (self.folder / WHOLE.file).read_bytes()


@pytest.fixture
async def site(tmp_path: Path, folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        yield Site(tmp_path, folder, stack)


async def test_several_sources_give_a_part_each(site: Site) -> None:
    async def slowly(_: int) -> None:
        await asyncio.sleep(0.05)

    for _ in range(2):
        await site.source(slowly)
    found = await site.fetch(await site.newcomer())
    assert site.is_same(found)
    assert found.digest == "digest1"
    counts = [len(source.shelf.sent) for source in site.sources]
    assert min(counts) >= 1
    assert sum(counts) == PIECES
    assert site.told[-1].fraction is not None


async def test_only_what_is_asked_for_is_fetched(site: Site) -> None:
    source = await site.source(_no_trouble)
    store = await site.newcomer()
    found = await store.find(MODEL.id, site.told.append)
    assert found is not None
    assert source.shelf.sent == [(0, PIECE_BYTES)]
    await store.fill(found.folder, [FileRange(WHOLE.file, 3 * PIECE_BYTES + 5, 3 * PIECE_BYTES + 6)], site.told.append)
    assert source.shelf.sent == [(0, PIECE_BYTES), (3 * PIECE_BYTES, 4 * PIECE_BYTES)]
    assert (found.folder / WHOLE.file).stat().st_blocks * 512 < 3 * PIECE_BYTES


async def test_a_source_that_dies_in_the_middle_costs_only_time(site: Site) -> None:
    async def die(number: int) -> None:
        if number == 1:
            site.sources[0].info = replace(site.sources[0].info, standing="suspect")
            await asyncio.sleep(30)

    await site.source(die)
    await site.source(_no_trouble)
    async with asyncio.timeout(20):
        assert site.is_same(await site.fetch(await site.newcomer()))


async def test_a_source_whose_socket_closes_in_the_middle_costs_only_time(site: Site) -> None:
    stopping: list[asyncio.Task[None]] = []

    async def close(number: int) -> None:
        if number == 0:
            stopping.append(asyncio.create_task(site.sources[0].stop()))
            await asyncio.sleep(10)

    await site.source(close)
    second = await site.source(_no_trouble)
    async with asyncio.timeout(20):
        assert site.is_same(await site.fetch(await site.newcomer()))
    assert second.shelf.sent
    await asyncio.gather(*stopping)


async def test_a_corrupted_byte_is_found_its_sender_excluded_and_the_piece_taken_elsewhere(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corrupt = tmp_path / "corrupt.safetensors"
    data = bytearray((site.folder / WHOLE.file).read_bytes())
    for index in range(1, PIECES):
        data[index * PIECE_BYTES + 77] ^= 1
    corrupt.write_bytes(data)

    async def lie(_: int) -> Path:
        return corrupt

    async def slowly(_: int) -> None:
        await asyncio.sleep(0.1)

    liar = await site.source(lie)
    await site.source(slowly)
    store = await site.newcomer()
    assert site.is_same(await site.fetch(store))
    asked = len(liar.shelf.sent)
    (record,) = [record for record in caplog.records if "false weights" in record.message]
    assert record.fields["node"] == "source0"  # type: ignore[attr-defined]
    assert site.blamed == ["source0"]
    assert asked <= 3  # The first piece is right, and two are on their way when the first lie is found.


async def test_a_source_that_has_lost_the_file_is_left_for_another(site: Site) -> None:
    async def forget(number: int) -> None:
        site.sources[0].shelf.forgets = number > 0

    await site.source(forget)
    await site.source(_no_trouble)
    async with asyncio.timeout(20):
        assert site.is_same(await site.fetch(await site.newcomer()))


async def test_a_slow_source_is_overtaken(site: Site) -> None:
    async def lag(number: int) -> None:
        if number > 0:
            await asyncio.sleep(60)

    await site.source(lag)
    await site.source(_no_trouble)
    async with asyncio.timeout(20):
        assert site.is_same(await site.fetch(await site.newcomer()))


async def test_a_source_that_sends_too_little_is_not_believed(site: Site, tmp_path: Path) -> None:
    short = tmp_path / "short.safetensors"
    short.write_bytes((site.folder / WHOLE.file).read_bytes()[: 2 * PIECE_BYTES + 10])

    async def cut(_: int) -> Path:
        return short

    await site.source(cut)
    await site.source(_no_trouble)
    async with asyncio.timeout(20):
        assert site.is_same(await site.fetch(await site.newcomer()))


async def test_one_that_fetches_gives_on_what_it_has(site: Site) -> None:
    source = await site.source(_no_trouble)
    first = await site.newcomer("first")
    found = await first.find(MODEL.id, site.told.append)
    assert found is not None
    await first.fill(found.folder, [FileRange(WHOLE.file, 0, 4 * PIECE_BYTES)], site.told.append)
    shelf = site.shelf_of_newcomer
    digest = next(file.digest for file in (await shelf.offer(MODEL.id) or _none()).files if file.name == WHOLE.file)
    assert await shelf.locate(digest, PIECE_BYTES, 4 * PIECE_BYTES) is not None
    assert await shelf.locate(digest, 4 * PIECE_BYTES, 5 * PIECE_BYTES) is None
    assert await shelf.locate(digest, PIECE_BYTES, 4 * PIECE_BYTES + 1) is None

    server = await site.stack.enter_async_context(
        ApiServer(replace(FakeNode().services(), weights=shelf), ApiSettings(port=0), "127.0.0.1")
    )
    source.shelf._trouble = _slowly
    half = replace(source, info=peer("half", "half", endpoint=server.endpoint, status=replace(READY, model=None)))
    site.sources.append(half)
    before = len(source.shelf.sent)
    assert site.is_same(await site.fetch(await site.newcomer("second")))
    assert len(source.shelf.sent) - before < PIECES


async def test_without_anybody_who_has_it_the_hub_is_left_to_be_asked(site: Site) -> None:
    store = await site.newcomer()
    assert await store.find("org/other", site.told.append) is None
    assert store.wanted == "org/other"
    assert "looking for org/other" in site.told[0].what


async def test_what_is_missing_and_does_not_come_is_told(site: Site) -> None:
    source = await site.source(_no_trouble)
    store = await site.newcomer(patience_s=1.0)
    found = await store.find(MODEL.id, site.told.append)
    assert found is not None
    site.sources.remove(source)
    with pytest.raises(PeerError, match=r"No node gave.*model\.safetensors.*--model"):
        await store.fill(found.folder, [WHOLE], site.told.append)


async def test_a_model_that_was_begun_can_be_opened_when_its_sources_are_gone(site: Site) -> None:
    source = await site.source()
    await (await site.newcomer()).find(MODEL.id, site.told.append)
    site.sources.remove(source)
    found = await (await site.newcomer()).find(MODEL.id, site.told.append)
    assert found is not None
    assert (found.folder / "config.json").read_text() == "{}"


async def test_a_disk_that_is_full_or_a_limit_that_is_reached_is_told_before_anything_is_fetched(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.source()
    store = await site.newcomer(disk_limit_gib=0.001)
    with pytest.raises(BackendError, match="disk_limit_gib"):
        await store.find(MODEL.id, site.told.append)
    store = await site.newcomer()
    found = await store.find(MODEL.id, site.told.append)
    assert found is not None

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("swarm.weights.partial.os.pwrite", full)
    with pytest.raises(BackendError, match=r"full.*hub_cache"):
        await store.fill(found.folder, [WHOLE], site.told.append)


async def test_the_rate_is_limited_where_that_is_set(site: Site) -> None:
    await site.source(rate=20 * PIECE_BYTES)
    clock = SystemClock()
    started = clock.now()
    await site.fetch(await site.newcomer())
    assert clock.now() - started > (PIECES - 2) / 20


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/weights/offer?model=org/other", {}, 404),
        ("/v1/weights/offer?model=../../etc", {}, 404),
        ("/v1/weights/" + "0" * 64 + "/pieces", {}, 404),
        ("/v1/weights/" + "0" * 64 + "/data", {"Range": "bytes=0-9"}, 404),
        ("/v1/weights/{digest}/data", {}, 416),
        ("/v1/weights/{digest}/data", {"Range": "bytes=-5"}, 416),
        ("/v1/weights/{digest}/data", {"Range": "bytes=0-9999999999"}, 416),
        ("/v1/weights/{digest}/data", {"Range": f"bytes={SIZE - 5}-{SIZE}"}, 404),
        ("/v1/weights/..%2f..%2fetc%2fpasswd/data", {"Range": "bytes=0-9"}, 404),
        ("/v1/weights/{digest}/data", {"Range": "bytes=0-9"}, 206),
    ],
)
async def test_nothing_but_pieces_of_the_offered_files_is_given(
    site: Site, path: str, headers: dict[str, str], status: int
) -> None:
    source = await site.source()
    await (await site.newcomer()).find(MODEL.id, site.told.append)
    offer = await source.shelf.offer(MODEL.id) or _none()
    digest = next(file.digest for file in offer.files if file.name == WHOLE.file)
    url = f"http://{source.server.endpoint}{path.format(digest=digest)}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
        assert reply.status == status
        if status == 206:
            assert await reply.read() == (site.folder / WHOLE.file).read_bytes()[:10]


async def test_no_more_transfers_are_begun_than_can_be_held(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.api.weights_routes.MOST_AT_ONCE", 1)
    source = await site.source()
    await (await site.newcomer()).find(MODEL.id, site.told.append)
    offer = await source.shelf.offer(MODEL.id) or _none()
    digest = next(file.digest for file in offer.files if file.name == WHOLE.file)
    url = f"http://{source.server.endpoint}/v1/weights/{digest}/data"
    headers = {"Range": f"bytes=0-{4 * PIECE_BYTES - 1}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=1024) as session:
        async with session.get(url, headers=headers), session.get(url, headers=headers) as second:
            assert second.status == 429
        async with asyncio.timeout(30):
            while (await _status(session, url, headers)) == 429:
                await asyncio.sleep(0.05)
        assert await _status(session, url, headers) == 206


async def _status(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    async with session.get(url, headers=headers) as reply:
        await reply.read()
        return reply.status


async def test_a_file_that_was_changed_is_not_given_until_it_is_hashed_again(site: Site, tmp_path: Path) -> None:
    changing = tmp_path / "changing"
    changing.mkdir()
    for name in ("config.json", WHOLE.file):
        (changing / name).write_bytes((site.folder / name).read_bytes())
    site.folder = changing
    source = await site.source()
    await (await site.newcomer()).find(MODEL.id, site.told.append)
    offer = await source.shelf.offer(MODEL.id) or _none()
    digest = next(file.digest for file in offer.files if file.name == WHOLE.file)
    with (changing / WHOLE.file).open("r+b") as file:
        file.seek(PIECE_BYTES)
        file.write(b"changed")
    assert await source.shelf.locate(digest, 0, 10) is None


def test_a_fetching_node_that_is_killed_takes_up_what_it_had(tmp_path: Path, folder: Path) -> None:
    """Twice in a process of its own, which is killed in the middle the first time."""

    async def serve(lag_s: float, killed: bool) -> tuple[int, int]:
        async with AsyncExitStack() as stack:
            site = Site(tmp_path, folder, stack)

            async def lag(number: int) -> None:
                if killed and number >= 4:
                    await asyncio.sleep(lag_s)

            source = await site.source(lag)
            code = (
                "import asyncio, sys\n"
                "from tests.edge.test_weights_fetching import fetch_alone\n"
                "asyncio.run(fetch_alone(*sys.argv[1:]))\n"
            )
            endpoint = source.server.endpoint
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", code, str(tmp_path), endpoint.host, str(endpoint.port)),
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            if killed:
                noted = tmp_path / "alone" / "hub"
                async with asyncio.timeout(40):
                    while _noted_pieces(noted) < 4 + 1:  # Four of the weights, and the config.
                        await asyncio.sleep(0.1)
                child.send_signal(signal.SIGKILL)
            code_of_child = await asyncio.wait_for(child.wait(), 60)
            return code_of_child, len(source.shelf.sent)

    assert asyncio.run(serve(60, killed=True))[0] == -signal.SIGKILL
    code, sent = asyncio.run(serve(0, killed=False))
    assert code == 0
    assert sent <= PIECES - 4
    fetched = next((tmp_path / "alone" / "hub").glob(f"models--*/snapshots/*/{WHOLE.file}"))
    assert fetched.read_bytes() == (folder / WHOLE.file).read_bytes()


async def fetch_alone(root: str, host: str, port: str) -> None:
    """In the process that is killed."""
    from swarm.domain.nodes import Endpoint

    async with AsyncExitStack() as stack:
        site = Site(Path(root), Path(root), stack)
        status = replace(READY, node=NodeId("source0"), model=MODEL)
        info = peer("source0", "source0", endpoint=Endpoint(host, int(port)), status=status)
        site.sources.append(OneSource(None, None, stack, info))  # type: ignore[arg-type]
        store = await site.newcomer("alone")
        await site.fetch(store)
        await store.keep()


def _noted_pieces(hub: Path) -> int:
    notes = (json.loads(place.read_text()) for place in hub.glob("models--*/swarm/*/written.json"))
    return sum(int(bits, 16).bit_count() for held in notes for bits in held.values())


async def _no_trouble(_: int) -> None:
    return None


async def _slowly(_: int) -> None:
    await asyncio.sleep(0.2)


def _none() -> WeightsOffer:
    raise AssertionError("nothing is offered")
