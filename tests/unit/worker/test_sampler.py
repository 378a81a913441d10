"""Tokens are chosen as the request says, and the same seed chooses the same ones."""

import math
import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.generation import Sampling
from swarm.domain.tokens import LEAST_LOGPROB
from swarm.worker.decoder import filters
from swarm.worker.decoder.sampler import Sampler

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0])


def test_temperature_zero_takes_the_most_likely_token() -> None:
    chosen = Sampler(Sampling(temperature=0)).choose(LOGITS)
    assert chosen.token == 1
    assert chosen.logprob == pytest.approx(math.log(torch.softmax(LOGITS, 0)[1]), abs=1e-5)


def test_a_temperature_close_to_zero_takes_the_most_likely_token_too() -> None:
    assert [Sampler(Sampling(temperature=warm)).choose(LOGITS).token for warm in (1e-5, 1e-40, 5e-324)] == [1, 1, 1]


def test_the_same_seed_gives_the_same_tokens() -> None:
    def drawn(seed: int) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [sampler.choose(LOGITS).token for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_negative_and_a_huge_seed_are_seeds_too() -> None:
    assert Sampler(Sampling(seed=-1)).choose(LOGITS)
    assert Sampler(Sampling(seed=2**70)).choose(LOGITS)


def test_a_small_nucleus_leaves_only_the_most_likely_token() -> None:
    sampler = Sampler(Sampling(temperature=5, top_p=0.01, seed=1))
    assert {sampler.choose(LOGITS).token for _ in range(50)} == {1}


def test_the_nucleus_holds_the_fewest_tokens_that_reach_its_probability() -> None:
    sampler = Sampler(Sampling(top_p=0.8, seed=1))
    assert {sampler.choose(LOGITS).token for _ in range(300)} == {1, 2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_draws_that_were_made_elsewhere_can_be_left_out(temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=3)
    one, other = Sampler(sampling), Sampler(sampling)
    drawn = [one.choose(LOGITS).token for _ in range(40)]
    other.recall(drawn[:25])
    assert [other.choose(LOGITS).token for _ in range(15)] == drawn[25:]


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    sampler = Sampler(Sampling(seed=5))
    drawn = [sampler.choose(LOGITS).token for _ in range(4000)]
    for token, probability in enumerate(torch.softmax(LOGITS, 0)):
        assert drawn.count(token) / 4000 == pytest.approx(float(probability), abs=0.03)


def reference(logits: Sequence[float], sampling: Sampling, prompt: Sequence[int], made: Sequence[int]) -> list[float]:
    """Probabilities of the next token by the definitions, a number at a time; for temperature 0 all on the best."""
    scores = list(logits)
    for token in range(len(scores)):
        if token in prompt or token in made:
            scores[token] *= 1 / sampling.repetition_penalty if scores[token] > 0 else sampling.repetition_penalty
        count = list(made).count(token)
        scores[token] -= sampling.frequency_penalty * count + (sampling.presence_penalty if count else 0)
        scores[token] += sum(bias for biased, bias in sampling.logit_bias if biased == token)
    if sampling.temperature == 0:
        return [float(token == scores.index(max(scores))) for token in range(len(scores))]
    powers = [math.exp((score - max(scores)) / sampling.temperature) for score in scores]
    order = sorted(range(len(powers)), key=lambda token: (-powers[token], token))
    kept = order[: sampling.top_k or None]
    total, sofar, nucleus = sum(powers[token] for token in kept), 0.0, []
    for token in kept:
        if sampling.top_p == 1 or sofar < sampling.top_p * total or not nucleus:
            nucleus.append(token)
        sofar += powers[token]
    left = [token for token in nucleus if powers[token] >= sampling.min_p * powers[nucleus[0]]]
    total = sum(powers[token] for token in left)
    return [powers[token] / total if token in left else 0.0 for token in range(len(powers))]


TOKENS = st.integers(0, 11)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    top_p=st.sampled_from([0.25, 0.5, 0.83, 1.0]),
    top_k=st.integers(0, 12),
    min_p=st.sampled_from([0.0, 0.07, 0.4]),
    presence_penalty=st.sampled_from([0.0, -1.1, 0.7]),
    frequency_penalty=st.sampled_from([0.0, -0.3, 1.9]),
    repetition_penalty=st.sampled_from([1.0, 0.8, 1.6]),
    logit_bias=st.lists(st.tuples(TOKENS, st.sampled_from([-100.0, -0.5, 3.1])), max_size=3).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(SAMPLINGS, st.lists(TOKENS, max_size=6), st.lists(TOKENS, max_size=6), st.randoms(use_true_random=False))
def test_every_draw_is_what_the_definitions_say(
    sampling: Sampling, prompt: list[int], made: list[int], chance: random.Random
) -> None:
    # Numbers apart, so that no rounding decides who is in a nucleus.
    logits = [float(number) / 7 for number in chance.sample(range(-40, 40), 12)]
    expected = reference(logits, sampling, prompt, made)
    number = chance.random()
    sampler = Sampler(sampling, prompt)
    sampler.recall(made)
    sampler._random = FixedChance(number)  # type: ignore[assignment]
    token = sampler.choose(torch.tensor(logits)).token
    below = sum(expected[:token])
    assert expected[token] > 0
    assert below - 1e-4 <= number <= below + expected[token] + 1e-4 or sampling.temperature == 0


class FixedChance:
    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.5, 0.9, 0.999]))
def test_a_large_vocabulary_has_the_nucleus_that_sorting_all_of_it_gives(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.softmax(torch.randn(3000, generator=generator) * 3, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    count = max(1, int((ordered.cumsum(0) - ordered < float(probabilities.sum()) * share).sum()))
    kept = filters.top_p(probabilities, share)
    assert set(kept.nonzero().flatten().tolist()) == set(tokens[:count].tolist())
    assert torch.equal(kept[tokens[:count]], ordered[:count])


def test_equally_likely_tokens_at_the_border_of_a_large_nucleus_are_taken_by_their_ids() -> None:
    kept = filters.top_p(torch.full((2048,), 1 / 2048), 0.25)
    assert kept.nonzero().flatten().tolist() == list(range(512))


def test_an_answer_does_not_end_before_its_least_length_unless_a_grammar_says_so() -> None:
    sampler = Sampler(Sampling(temperature=0, min_tokens=2), ends={1})
    assert [sampler.choose(LOGITS).token for _ in range(3)] == [2, 2, 1]
    only_the_end = torch.tensor([False, True, False, False])
    assert Sampler(Sampling(temperature=0, min_tokens=2), ends={1}).choose(LOGITS, only_the_end).token == 1


def test_what_a_grammar_does_not_allow_is_never_drawn() -> None:
    sampler = Sampler(Sampling(temperature=2, seed=1))
    allowed = torch.tensor([True, False, False, True])
    assert {sampler.choose(LOGITS, allowed).token for _ in range(200)} == {0, 3}


def test_log_probabilities_are_the_models_own_whatever_is_sampled() -> None:
    sampling = Sampling(temperature=0, logit_bias=((3, 100.0),), frequency_penalty=1, logprobs=2)
    chosen = Sampler(sampling).choose(LOGITS)
    expected = torch.log_softmax(LOGITS, 0)
    assert (chosen.token, chosen.logprob) == (3, pytest.approx(float(expected[3]), abs=1e-5))
    assert [token for token, _ in chosen.top] == [1, 2]
    assert [logprob for _, logprob in chosen.top] == pytest.approx([float(expected[1]), float(expected[2])], abs=1e-5)


def test_a_token_that_cannot_come_has_a_number_all_the_same() -> None:
    logits = torch.tensor([0.0, -torch.inf])
    chosen = Sampler(Sampling(temperature=0, logprobs=2)).choose(logits)
    assert chosen.top == ((0, 0.0), (1, LEAST_LOGPROB))


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_an_error_and_no_text(broken: float) -> None:
    with pytest.raises(ValueError, match="not numbers"):
        Sampler(Sampling()).choose(torch.tensor([0.0, broken]))


def test_penalties_and_draws_go_on_where_another_node_left_the_answer() -> None:
    sampling = Sampling(
        temperature=1.3, seed=3, frequency_penalty=0.5, presence_penalty=0.2, repetition_penalty=1.2, min_tokens=15
    )
    one, other = Sampler(sampling, (2,), {0}), Sampler(sampling, (2,), {0})
    drawn = [one.choose(LOGITS).token for _ in range(40)]
    other.recall(drawn[:25])
    assert [other.choose(LOGITS).token for _ in range(15)] == drawn[25:]
