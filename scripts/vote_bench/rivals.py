"""How other tools choose among candidates, re-stated from descriptions of them; only texts and their claims go in.

Each function takes the candidates in order and returns the text that the tool would return.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from swarm.domain.federation import PeerVote

Rule = Callable[[Sequence[PeerVote]], str]


def most_confident(votes: Sequence[PeerVote]) -> str:
    """Best of N by each author's own mean log-probability."""
    return max(votes, key=lambda vote: _claim(vote, -99.0)).text


def _claim(vote: PeerVote, otherwise: float) -> float:
    return otherwise if vote.mean_logprob is None else vote.mean_logprob


def self_consistency_by_likeness(votes: Sequence[PeerVote]) -> str:
    """OptiLLM's self_consistency: each text joins the first cluster whose first text is 0.8 alike; the largest wins."""
    clusters: list[list[str]] = []
    for vote in votes:
        alike = (one for one in clusters if _alike(one[0], vote.text))
        found = next(alike, None)
        if found is None:
            clusters.append([vote.text])
        else:
            found.append(vote.text)
    return max(clusters, key=len)[0]


def _alike(left: str, right: str) -> bool:
    return difflib.SequenceMatcher(None, left, right).ratio() >= 0.8


_MAJORITY_FORMS = (
    re.compile(r"(?:final answer|answer)\s*(?:is|:)\s*([^\n.]+)", re.IGNORECASE),
    re.compile(r"^###\s*(.+)$", re.MULTILINE),
    re.compile(r"^([A-E])\b", re.MULTILINE),
    re.compile(r"(-?\d+(?:\.\d+)?)"),
)


def majority_by_first_match(votes: Sequence[PeerVote]) -> str:
    """OptiLLM's majority_voting: the first match of the first form that fits is the answer; the most frequent wins."""
    answers = [_first_match(vote.text) for vote in votes]
    leader = Counter(answers).most_common(1)[0][0]
    return votes[answers.index(leader)].text


def _first_match(text: str) -> str:
    found = (form.search(text) for form in _MAJORITY_FORMS)
    return next((match[1].strip().lower() for match in found if match), text.strip().lower())


def mean_confidence_of_last_fragment(votes: Sequence[PeerVote]) -> str:
    """OptiLLM's deepconf: what follows the last full stop is the answer; 0.7 × mean confidence + 0.3 × frequency."""
    groups: defaultdict[str, list[PeerVote]] = defaultdict(list)
    for vote in votes:
        groups[_last_fragment(vote.text)].append(vote)
    return max(groups.values(), key=lambda group: _deep_score(group, len(votes)))[0].text


def _last_fragment(text: str) -> str:
    return text.rstrip(" .").rpartition(".")[2].strip()


def _deep_score(group: Sequence[PeerVote], total: int) -> float:
    confidence = sum(-10.0 / min(_claim(vote, -1.0), -1.0) for vote in group) / len(group)
    return 0.7 * confidence + 0.3 * len(group) / total


def first_two_that_agree(votes: Sequence[PeerVote]) -> str:
    """Mesh-LLM's arbiter: in order of arrival, the first two of whose words one set holds the other; else the most
    confident."""
    arrived = sorted(votes, key=lambda vote: vote.latency_s)
    for index, vote in enumerate(arrived):
        for earlier in arrived[:index]:
            if _one_holds_the_other(vote.text, earlier.text):
                return earlier.text
    return most_confident(votes)


def _one_holds_the_other(left: str, right: str) -> bool:
    ours, theirs = _tokens(left), _tokens(right)
    return ours <= theirs or theirs <= ours


def _tokens(text: str) -> frozenset[str]:
    """Of the last sentence: its letters and digits."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower().rstrip(" .").rpartition(". ")[2]))


def first_to_finish(votes: Sequence[PeerVote]) -> str:
    return min(votes, key=lambda vote: vote.latency_s).text


RIVALS: Mapping[str, Rule] = MappingProxyType(
    {
        "own log-probability": most_confident,
        "OptiLLM self_consistency (restated)": self_consistency_by_likeness,
        "OptiLLM majority_voting (restated)": majority_by_first_match,
        "OptiLLM deepconf (restated)": mean_confidence_of_last_fragment,
        "Mesh-LLM first two that agree (restated)": first_two_that_agree,
        "first to finish": first_to_finish,
    }
)


SAME: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "OptiLLM self_consistency (restated)": _alike,
        "OptiLLM majority_voting (restated)": lambda left, right: _first_match(left) == _first_match(right),
        "OptiLLM deepconf (restated)": lambda left, right: _last_fragment(left) == _last_fragment(right),
        "Mesh-LLM first two that agree (restated)": _one_holds_the_other,
    }
)
"""When two texts count as one answer."""
