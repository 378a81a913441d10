"""What waits for the model runs as few steps as possible, and nobody waits for another's prompt."""

import threading
from collections.abc import Sequence
from concurrent.futures import wait

import pytest
import torch

from swarm.worker.compute import line
from swarm.worker.compute.line import Job, WaitingLine
from swarm.worker.compute.thread import Compute


class Adder:
    """Adds one; notes what it was given as steps. `broken` sequences cannot go on."""

    size = 1

    def __init__(self) -> None:
        self.model = self
        self.steps: list[list[str]] = []
        self.entered, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def takes_rows(self, sequence: str) -> bool:
        return not sequence.startswith("lone")

    def run_piece(self, sequence: str, piece: torch.Tensor) -> torch.Tensor:
        self.steps.append([f"{sequence}:{piece.shape[1]}"])
        self.entered.set()
        self.may_go_on.wait(10)
        return piece + 1

    def run_rows(self, sequences: Sequence[str], tokens: Sequence[torch.Tensor]) -> list[torch.Tensor | Exception]:
        self.steps.append(list(sequences))
        if "dead" in sequences:
            raise RuntimeError("all of it")
        return [ValueError("full") if name == "full" else one + 1 for name, one in zip(sequences, tokens, strict=True)]


def job(work: Adder, sequence: str, tokens: int = 1) -> Job:
    return Job(work, sequence, torch.zeros(1, tokens, 2))


def names(jobs: list[Job]) -> list[str]:
    return [job.sequence for job in jobs]


def test_tokens_of_the_same_work_are_taken_together_and_others_keep_their_turn() -> None:
    waiting, one, other = WaitingLine(), Adder(), Adder()
    for work, name in ((one, "a"), (other, "b"), (one, "c"), (other, "d"), (one, "lone")):
        waiting.add(job(work, name))
    assert [names(waiting.next()) for _ in range(3)] == [["a", "c"], ["lone"], ["b", "d"]]
    assert not waiting


def test_a_batch_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MOST_ROWS", 2)
    waiting, work = WaitingLine(), Adder()
    for name in "abcde":
        waiting.add(job(work, name))
    assert [names(waiting.next()) for _ in range(3)] == [["a", "b"], ["c", "d"], ["e"]]


def test_prompts_take_turns_with_tokens_and_among_themselves() -> None:
    waiting, work = WaitingLine(), Adder()
    prompts = [job(work, "p", 900), job(work, "q", 900)]
    for prompt in prompts:
        waiting.add(prompt)
    order = []
    for turn in range(6):
        waiting.add(job(work, f"t{turn}"))
        taken = waiting.next()
        order.append(names(taken)[0][0])
        if taken[0].is_prompt:
            waiting.add(taken[0])
    assert order == ["t", "p", "t", "q", "t", "p"]


def test_pieces_of_a_prompt_take_the_time_they_may() -> None:
    waiting, work = WaitingLine(), Adder()
    prompt = job(work, "p", 2000)
    assert waiting.piece_tokens(prompt) == line.FIRST_PIECE
    waiting.note_piece(work, 100, 100 * line.PIECE_S / 40)
    assert waiting.piece_tokens(prompt) == 40
    waiting.note_piece(work, 100, 1e9)
    assert waiting.piece_tokens(prompt) == line.SMALLEST_PIECE
    prompt.done_tokens = 1997
    assert waiting.piece_tokens(prompt) == 3


def test_what_comes_while_a_step_runs_goes_as_one_step() -> None:
    compute, work = Compute(), Adder()
    work.may_go_on.clear()
    first = compute.begin(work, "lone", torch.zeros(1, 1, 2))
    assert work.entered.wait(10)
    others = [compute.begin(work, name, torch.full((1, 1, 2), float(at))) for at, name in enumerate(("a", "full", "c"))]
    cancelled = compute.begin(work, "x", torch.zeros(1, 1, 2))
    assert cancelled.cancel()
    work.may_go_on.set()
    wait([first, *others], 10)
    assert work.steps == [["lone:1"], ["a", "full", "c"]]
    assert others[2].result().tolist() == [[[3.0, 3.0]]]
    with pytest.raises(ValueError, match="full"):
        others[1].result()
    compute.close()


def test_a_prompt_comes_out_whole_and_a_failed_step_ends_only_itself() -> None:
    compute, work = Compute(), Adder()
    states = torch.arange(400.0).reshape(1, 200, 2)
    torch.testing.assert_close(compute.begin(work, "p", states).result(10), states + 1)
    with pytest.raises(RuntimeError, match="all of it"):
        compute.begin(work, "dead", states[:, :1]).result(10)
    assert compute.begin(work, "a", states[:, :1]).result(10).shape == (1, 1, 2)
    compute.close()


def test_what_waits_when_it_closes_is_cancelled() -> None:
    compute, work = Compute(), Adder()
    work.may_go_on.clear()
    first = compute.begin(work, "lone", torch.zeros(1, 1, 2))
    assert work.entered.wait(10)
    waiting = compute.begin(work, "a", torch.zeros(1, 1, 2))
    compute.close()
    work.may_go_on.set()
    assert first.result(10).shape == (1, 1, 2)
    assert wait([waiting], 10).done
    assert waiting.cancelled()
    late = compute.begin(work, "b", torch.zeros(1, 1, 2))
    assert wait([late], 10).done
    assert late.cancelled()
