"""Every family over two nodes: the plain model's logits and text, with blocks served over libp2p on loopback."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.domain.ids import Quantization
from swarm.domain.nodes import BlockSpan
from swarm.wire.worker_commands import LoadModel
from swarm.worker.chain_door import ChainDoor
from swarm.worker.compute.thread import Compute
from swarm.worker.decoder.steppers import Steppers
from swarm.worker.failures import BlocksMissing
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.families.plain import PlainSequence
from tests.fakes.tiny_checkpoints import CUT, LAYERS, VOCABULARY, write_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # in hivemind and torch, at import
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
HALVES = (BlockSpan(0, LAYERS // 2), BlockSpan(LAYERS // 2, LAYERS))
NAMES = ("first", "last")

FORMING_S = 60.0
PROMPT = torch.randint(3, VOCABULARY, (30,), generator=torch.Generator().manual_seed(1)).tolist()
PIECES = (PROMPT[:17], PROMPT[17:])
STEPS = 30
MAX_TOKENS = 64


@dataclass(frozen=True)
class Held:
    """How a node holds its layers."""

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    quantization: Quantization = "none"


PLAIN = Held()
IN_BFLOAT16 = Held(dtype=torch.bfloat16)
IN_8_BITS = Held(quantization="int8")
IN_4_BITS = Held(dtype=torch.bfloat16, quantization="int4")
ON_GPU = Held("cuda", torch.bfloat16)
BFLOAT16_MEAN, BFLOAT16_TIE = 0.02, 0.1
"""Of differences of logits, whose standard deviation is about 0.5 in these models; on a CPU most are 0."""
NAMED = (
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma2",
    "gemma3_text",
    "phi3",
    "olmo2",
    "smollm3",
    "gpt_oss",
    "mixtral",
    "qwen3_moe",
    "deepseek_v3",
    "gpt2",
    "gpt_neox",
)


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_loop() -> None:
    """Takes the place of the guard: a worker's loop may block, it serves nobody but the chain."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Shelf:
    """Blocks that a node serves, exchanged between tests, so that two nodes form one chain once for all families."""

    def __init__(self, first: Blocks) -> None:
        self.blocks = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self.blocks, name)


@dataclass
class Pair:
    """Two nodes that know each other; the client is the first."""

    first: ChainDoor
    own: Shelf
    """Of the first one."""
    shelf: Shelf
    """Of the last one."""

    def session(self, own: Blocks) -> Any:
        self.own.blocks = own
        return self.first.session(MAX_TOKENS, lambda: False)


def load(folder: Path, span: BlockSpan, how: Held) -> LoadedModel:
    checkpoint = open_checkpoint(str(folder), "tiny").quantised(how.quantization)
    return load_model(checkpoint, span, how.device, how.dtype)


def open_door(held: contextlib.ExitStack, folder: Path, name: str, model: LoadedModel) -> ChainDoor:
    compute = Compute()
    held.callback(compute.close)
    door = ChainDoor(compute, lambda _: None, lambda: None)
    held.callback(door.close)
    command = LoadModel(
        path=str(folder),
        model_id="tiny",
        blocks="auto",
        engine="chain",
        slots=1,
        threads=1,
        chain_host="127.0.0.1",
        chain_port=0,
        identity_path=str(folder / f"{name}.key"),
        node=name,
    )
    door.open(command, model.checkpoint.info, LAYERS, movable=False)
    return door


@contextlib.contextmanager
def two_nodes(folder: Path, how: Held = PLAIN) -> Iterator[Pair]:
    write_checkpoint(folder, "llama", CUT["llama"])
    models = [load(folder, span, how) for span in HALVES]
    with contextlib.ExitStack() as held:
        first, last = (open_door(held, folder, name, model) for name, model in zip(NAMES, models, strict=True))
        own, shelf = Shelf(models[0].blocks), Shelf(models[1].blocks)
        first.serve(own, HALVES[0], 2**28, 256)
        last.serve(shelf, HALVES[1], 2**28, 256)
        first.introduce(last.addresses)
        pair = Pair(first, own, shelf)
        wait_until_whole(pair, models[0].blocks)
        yield pair


def wait_until_whole(pair: Pair, own: Blocks) -> None:
    deadline = time.monotonic() + FORMING_S
    while True:
        try:
            with pair.session(own):
                return
        except BlocksMissing:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_nodes(tmp_path_factory.mktemp("pair")) as opened:
        yield opened


def greedy(stepper: Any) -> tuple[list[int], torch.Tensor]:
    """Tokens after the prompt in two pieces, and the logits [1 + 30, vocabulary] that they were chosen by."""
    for piece in PIECES:
        logits = [stepper.step(piece)]
    tokens = []
    for _ in range(STEPS):
        tokens.append(int(logits[-1].argmax()))
        logits.append(stepper.step(tokens[-1:]))
    return tokens, torch.stack(logits).float().cpu()


@torch.inference_mode()
def plain_logits(plain: Any, tokens: list[int]) -> torch.Tensor:
    """The same logits from the plain model, all at once: the sequence is the same where the text is."""
    logits = plain(input_ids=torch.tensor([PROMPT + tokens], device=plain.device), use_cache=False).logits
    return logits[0, len(PROMPT) - 1 :].float().cpu()


def over_two_nodes(pair: Pair, folder: Path, how: Held = PLAIN) -> tuple[list[int], torch.Tensor]:
    first, last = (load(folder, span, how) for span in HALVES)
    pair.shelf.blocks = last.blocks
    with Steppers(pair.first.compute, first).chain(pair.session(first.blocks)) as stepper:
        assert stepper.servers == ("last",)
        return greedy(stepper)


@pytest.mark.parametrize("family", CUT)
def test_two_nodes_give_the_logits_and_the_text_of_the_plain_model(pair: Pair, family: str, tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path, family, CUT[family])
    tokens, logits = over_two_nodes(pair, tmp_path)
    expected = plain_logits(plain, tokens)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert tokens == expected[:-1].argmax(-1).tolist()


def in_one(folder: Path, how: Held) -> tuple[list[int], torch.Tensor]:
    """The same from the whole model, held in the same way, by the family's own forward with a cache of its own."""
    return greedy(PlainSequence(load(folder, BlockSpan(0, LAYERS), how).causal))


def assert_alike_in_bfloat16(made: tuple[list[int], torch.Tensor], expected: tuple[list[int], torch.Tensor]) -> None:
    """Up to where rounding decides between two tokens; on average, because routers of experts may choose otherwise."""
    same = next((at for at in range(STEPS) if made[0][at] != expected[0][at]), STEPS)
    assert (made[1] - expected[1])[: same + 1].abs().mean() < BFLOAT16_MEAN
    if same < STEPS:
        assert expected[1][same].max() - expected[1][same, made[0][same]] < BFLOAT16_TIE


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3_moe"])
def test_layers_in_8_bits_give_over_two_nodes_what_they_give_in_one(pair: Pair, family: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, family, CUT[family])
    tokens, logits = over_two_nodes(pair, tmp_path, IN_8_BITS)
    expected_tokens, expected = in_one(tmp_path, IN_8_BITS)
    assert tokens == expected_tokens
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "mixtral"])
@pytest.mark.parametrize("how", [IN_BFLOAT16, IN_4_BITS], ids=["bfloat16", "int4"])
def test_short_numbers_give_over_two_nodes_what_they_give_in_one(
    pair: Pair, how: Held, family: str, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, family, CUT[family])
    assert_alike_in_bfloat16(over_two_nodes(pair, tmp_path, how), in_one(tmp_path, how))


@pytest.fixture(scope="module")
def pair_on_gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_nodes(tmp_path_factory.mktemp("gpu"), ON_GPU) as opened:
        yield opened


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("family", NAMED)
def test_bfloat16_on_a_gpu_gives_over_two_nodes_what_it_gives_in_one(
    pair_on_gpu: Pair, family: str, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, family, CUT[family])
    assert_alike_in_bfloat16(over_two_nodes(pair_on_gpu, tmp_path, ON_GPU), in_one(tmp_path, ON_GPU))
