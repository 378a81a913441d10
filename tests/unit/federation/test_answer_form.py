from __future__ import annotations

import json
from dataclasses import replace

import pytest

from swarm.domain.answers import AnswerForm, ToolCall
from swarm.domain.errors import Unavailable
from swarm.domain.federation import PeerVote
from swarm.domain.generation import ChatMessage
from swarm.domain.ids import NodeId
from swarm.domain.tools import ResponseFormat, ToolChoice, ToolSpec
from swarm.federation.answer_form import expected_form
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import decide
from tests.unit.federation.nodes import ask

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("weather", "", json.dumps(CITY))
CLOCK = ToolSpec("clock")


def vote(node: str, text: str = "", *calls: ToolCall, seconds: float = 1.0) -> PeerVote:
    reason = "tool_calls" if calls else "stop"
    return PeerVote(NodeId(node), text, reason, 20, -0.1, "m", f"digest {node}", seconds, tool_calls=calls)


def weather(city: str) -> ToolCall:
    return ToolCall("weather", json.dumps({"city": city}))


def test_tools_make_an_answer_of_calls_or_text() -> None:
    form = expected_form(ask(tools=(WEATHER, CLOCK)))
    assert form == AnswerForm("tools", tools={"weather": CITY, "clock": {}})
    assert expected_form(ask(tools=(WEATHER,), tool_choice=ToolChoice("none"))).kind == "auto"


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "weather")])
def test_where_a_call_is_wanted_a_text_does_not_count(choice: ToolChoice) -> None:
    form = expected_form(ask(tools=(WEATHER, CLOCK), tool_choice=choice))
    votes = [vote("a", "It is sunny."), vote("b", "It is sunny."), vote("c", "", weather("Rome"))]
    assert decide("weighted_vote", votes, VoteRules(form=form)).winner.node == "c"
    with pytest.raises(Unavailable, match="calls no tool"):
        decide("weighted_vote", votes[:2], VoteRules(form=form))


def test_a_named_tool_is_the_only_one() -> None:
    form = expected_form(ask(tools=(WEATHER, CLOCK), tool_choice=ToolChoice("named", "weather")))
    votes = [vote("a", "", ToolCall("clock", "{}")), vote("b", "", weather("Rome"))]
    assert decide("weighted_vote", votes, VoteRules(form=form)).winner.node == "b"


def test_calls_that_break_the_schema_do_not_count_and_equal_ones_agree() -> None:
    form = expected_form(ask(tools=(WEATHER,)))
    broken = ToolCall("weather", '{"town": "Rome"}')
    written = ToolCall("weather", '{ "city":"Rome" }')
    votes = [vote("a", "", broken), vote("b", "", broken), vote("c", "", weather("Rome")), vote("d", "", written)]
    result = decide("weighted_vote", [*votes, vote("e", "", weather("Oslo"), seconds=0.1)], VoteRules(form=form))
    assert result.winner.tool_calls in ((weather("Rome"),), (written,))
    assert [ballot.valid for ballot in result.ballots if ballot.node in "ab"] == [False, False]


def test_a_response_format_makes_json_of_the_answer() -> None:
    of_schema = ask(response_format=ResponseFormat("json_schema", json.dumps(CITY)))
    assert expected_form(of_schema) == AnswerForm("json", schema=CITY)
    form = expected_form(ask(response_format=ResponseFormat("json_object")))
    votes = [vote("a", "[1]"), vote("b", "[1]"), vote("c", '{"n": 1}')]
    assert decide("weighted_vote", votes, VoteRules(form=form)).winner.node == "c"


def test_a_schema_that_is_none_holds_nobody_to_anything() -> None:
    assert expected_form(ask(response_format=ResponseFormat("json_schema", "{"))).schema == {}


def test_the_question_tells_options_and_code() -> None:
    asked = replace(ask(), prompt=(ChatMessage("user", "Which one?\nA) Rome\nB) Oslo"),))
    assert expected_form(asked).options == {"a": "Rome", "b": "Oslo"}
    assert expected_form(replace(ask(), prompt="Write a function that sorts.")).kind == "code"
