"""What waits for the model runs as few steps as possible, and nobody waits for another's prompt."""

import threading
from collections.abc import Sequence
from concurrent.futures import wait

import pytest
import torch

from swarm.worker.compute import company, line
from swarm.worker.compute.line import Job, WaitingLine
from swarm.worker.compute.thread import Compute


class Named(str):
    """A sequence: what it is known by can be held weakly, as a cache can."""

    is_closed = False


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
    return Job(work, Named(sequence), torch.zeros(1, tokens, 2))


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
    first = compute.begin(work, Named("lone"), torch.zeros(1, 1, 2))
    assert work.entered.wait(10)
    others = [
        compute.begin(work, Named(name), torch.full((1, 1, 2), float(at))) for at, name in enumerate(("a", "full", "c"))
    ]
    cancelled = compute.begin(work, Named("x"), torch.zeros(1, 1, 2))
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
    torch.testing.assert_close(compute.begin(work, Named("p"), states).result(10), states + 1)
    with pytest.raises(RuntimeError, match="all of it"):
        compute.begin(work, Named("dead"), states[:, :1]).result(10)
    assert compute.begin(work, Named("a"), states[:, :1]).result(10).shape == (1, 1, 2)
    compute.close()


def test_what_waits_when_it_closes_is_cancelled() -> None:
    compute, work = Compute(), Adder()
    work.may_go_on.clear()
    first = compute.begin(work, Named("lone"), torch.zeros(1, 1, 2))
    assert work.entered.wait(10)
    waiting = compute.begin(work, Named("a"), torch.zeros(1, 1, 2))
    compute.close()
    work.may_go_on.set()
    assert first.result(10).shape == (1, 1, 2)
    assert wait([waiting], 10).done
    assert waiting.cancelled()
    late = compute.begin(work, Named("b"), torch.zeros(1, 1, 2))
    assert wait([late], 10).done
    assert late.cancelled()


def test_who_was_in_the_last_step_is_waited_for_as_long_as_it_took() -> None:
    clock = 100.0
    waiting, work = WaitingLine(lambda: clock), Adder()
    together = [job(work, name) for name in "ab"]
    for each in together:
        waiting.add(each)
    assert waiting.pause_s() == 0
    assert waiting.next() == together
    waiting.note_batch(together, 0.003)
    clock = 101.0
    waiting.add(Job(work, together[0].sequence, torch.zeros(1, 1, 2)))
    assert waiting.pause_s() == pytest.approx(0.003)
    waiting.add(Job(work, together[1].sequence, torch.zeros(1, 1, 2)))
    assert waiting.pause_s() == 0
    assert names(waiting.next()) == ["a", "b"]


def test_nothing_waits_for_a_sequence_that_has_ended_or_beside_a_prompt_or_for_ever() -> None:
    clock = 100.0
    waiting, work = WaitingLine(lambda: clock), Adder()
    a, b, c = together = [job(work, name) for name in "abc"]
    waiting.note_batch(together, 1.0)
    waiting.add(Job(work, a.sequence, a.input))
    assert waiting.pause_s() == pytest.approx(company.LONGEST_WAIT_S)
    b.sequence.is_closed = True
    del together, c
    assert waiting.pause_s() == 0
    waiting.next()

    d = job(work, "d")
    waiting.note_batch([a, d], 1.0)
    waiting.add(Job(work, a.sequence, a.input))
    waiting.add(job(work, "p", 9))
    assert waiting.pause_s() == 0
    waiting.next(), waiting.next()

    trickling = [job(work, str(at)) for at in range(9)]
    waiting.note_batch(trickling, 1.0)
    for each in trickling[:-1]:
        waiting.add(Job(work, each.sequence, each.input))
        clock += 0.9 * company.LONGEST_WAIT_S
    assert waiting.pause_s() == 0
    assert len(waiting.next()) == 8


def test_who_came_too_late_is_not_waited_for_again() -> None:
    clock = 100.0
    waiting, work = WaitingLine(lambda: clock), Adder()
    a, b = job(work, "a"), job(work, "b")
    waiting.note_batch([a, b], 0.001)
    waiting.note_batch([a], 0.001)
    waiting.add(Job(work, a.sequence, a.input))
    assert waiting.pause_s() == 0
    waiting.next()
    waiting.add(Job(work, b.sequence, b.input))
    assert waiting.pause_s() == pytest.approx(0.001), "its own last step was with a"
