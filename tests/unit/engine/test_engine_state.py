"""What the engine says of itself follows from the worker's events."""

from swarm.domain.coverage import coverage_of
from swarm.domain.nodes import BlockSpan, ModelInfo, Progress
from swarm.engine.state import EngineState
from swarm.wire.worker_events import ChainChanged, ChainOpened, Event, Hardware, Loaded, LoadFailed, Loading

MODEL = ModelInfo("demo", "d1", 6, 1024)
HARDWARE = Hardware("cpu", "2 cores", 1)


def after(*events: Event, chain_only: bool = False) -> EngineState:
    state = EngineState()
    for event in events:
        state = state.after(event, chain_only=chain_only)
    return state


def loaded(blocks: BlockSpan | None, *, whole: bool) -> Loaded:
    return Loaded(MODEL, blocks, whole, "why", ())


def chain(*served: BlockSpan) -> ChainChanged:
    return ChainChanged(coverage_of(served, MODEL.layers, 2**30))


def test_progress_is_told_while_loading() -> None:
    state = after(HARDWARE, Loading("reading", 0.5))
    assert (state.state, state.progress) == ("loading", Progress("reading", 0.5))
    assert "reading" in state.why_not()


def test_a_whole_model_is_ready_at_once() -> None:
    assert after(HARDWARE, loaded(None, whole=True)).state == "ready"


def test_a_part_waits_until_no_block_is_missing() -> None:
    part = loaded(BlockSpan(0, 3), whole=False)
    waiting = after(HARDWARE, chain(BlockSpan(0, 3)), part)
    assert waiting.state == "waiting"
    assert "3:6" in waiting.why_not()
    assert "--blocks 3:6 (4.3 GiB of memory)" in waiting.why_not()
    assert after(HARDWARE, part, chain(BlockSpan(0, 6))).state == "ready"


def test_with_engine_chain_even_the_whole_model_needs_its_blocks_served() -> None:
    whole = loaded(BlockSpan(0, 6), whole=True)
    assert after(HARDWARE, chain(), whole, chain_only=True).state == "waiting"
    assert after(HARDWARE, whole, chain(BlockSpan(0, 6)), chain_only=True).state == "ready"


def test_the_chain_is_reached_before_anything_is_loaded() -> None:
    state = after(HARDWARE, ChainOpened(("/ip4/10.0.0.1/tcp/1/p2p/x",)))
    assert (state.state, state.chain_addresses) == ("loading", ("/ip4/10.0.0.1/tcp/1/p2p/x",))


def test_a_failure_is_told_with_its_reason() -> None:
    state = after(HARDWARE, LoadFailed("no such folder", True))
    assert state.state == "failed"
    assert "no such folder" in state.why_not()


def test_after_a_crash_only_the_hardware_is_remembered() -> None:
    state = after(HARDWARE, loaded(None, whole=True)).crashed("it was ended by SIGKILL")
    assert (state.state, state.model, state.hardware) == ("starting", None, HARDWARE)
    assert "SIGKILL" in state.why_not()
