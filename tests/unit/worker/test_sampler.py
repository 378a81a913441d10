"""Tokens are chosen as the request says, and the same seed chooses the same ones."""

import math

import pytest
import torch

from swarm.domain.generation import Sampling
from swarm.worker.decoder.sampler import Sampler

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0])


def test_temperature_zero_takes_the_most_likely_token() -> None:
    token, logprob = Sampler(Sampling(temperature=0)).choose(LOGITS)
    assert token == 1
    assert logprob == pytest.approx(math.log(torch.softmax(LOGITS, 0)[1]), abs=1e-5)


def test_a_temperature_close_to_zero_takes_the_most_likely_token_too() -> None:
    assert [Sampler(Sampling(temperature=warm)).choose(LOGITS)[0] for warm in (1e-5, 1e-40, 5e-324)] == [1, 1, 1]


def test_the_same_seed_gives_the_same_tokens() -> None:
    def drawn(seed: int) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [sampler.choose(LOGITS)[0] for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_negative_and_a_huge_seed_are_seeds_too() -> None:
    assert Sampler(Sampling(seed=-1)).choose(LOGITS)
    assert Sampler(Sampling(seed=2**70)).choose(LOGITS)


def test_a_small_nucleus_leaves_only_the_most_likely_token() -> None:
    sampler = Sampler(Sampling(temperature=5, top_p=0.01, seed=1))
    assert {sampler.choose(LOGITS)[0] for _ in range(50)} == {1}


def test_the_nucleus_holds_the_fewest_tokens_that_reach_its_probability() -> None:
    sampler = Sampler(Sampling(top_p=0.8, seed=1))
    assert {sampler.choose(LOGITS)[0] for _ in range(300)} == {1, 2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_draws_that_were_made_elsewhere_can_be_left_out(temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=3)
    one, other = Sampler(sampling), Sampler(sampling)
    drawn = [one.choose(LOGITS)[0] for _ in range(40)]
    other.skip(25)
    assert [other.choose(LOGITS)[0] for _ in range(15)] == drawn[25:]


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    sampler = Sampler(Sampling(seed=5))
    drawn = [sampler.choose(LOGITS)[0] for _ in range(4000)]
    for token, probability in enumerate(torch.softmax(LOGITS, 0)):
        assert drawn.count(token) / 4000 == pytest.approx(float(probability), abs=0.03)
