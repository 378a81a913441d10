"""The official Python client with functions and formats, whole and streamed. Run with the address of a daemon."""

import json
import sys
from typing import Any, Literal

import openai
from pydantic import BaseModel

URL = sys.argv[1]
QUESTION: Any = [{"role": "user", "content": "What is 37 + 48 - 15?"}]
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Answer(BaseModel):
    sum: int
    sure: Literal["yes", "no"]


with openai.OpenAI(base_url=URL, api_key="none", max_retries=0) as client:
    for choice in ("required", {"type": "function", "function": {"name": "add"}}):
        asked: Any = {"model": "swarm-demo", "messages": QUESTION, "tools": [ADD], "tool_choice": choice, "seed": 1}
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].finish_reason == "tool_calls"
        calls = whole.choices[0].message.tool_calls or []
        assert calls
        assert {call.function.name for call in calls} == {"add"}
        assert all(set(json.loads(call.function.arguments)) == {"a", "b"} for call in calls)
        assert len({call.id for call in calls}) == len(calls)
        with client.chat.completions.stream(**asked) as stream:
            final = stream.get_final_completion()
        streamed = final.choices[0].message.tool_calls or []
        assert [call.function.arguments for call in streamed] == [call.function.arguments for call in calls]
        result = {"role": "tool", "tool_call_id": calls[0].id, "content": "70"}
        turn: Any = whole.choices[0].message.model_dump(exclude_none=True)
        after = client.chat.completions.create(model="swarm-demo", messages=[*QUESTION, turn, result], max_tokens=20)
        assert after.choices[0].message.content is not None
    parsed = client.chat.completions.parse(model="swarm-demo", messages=QUESTION, response_format=Answer)
    assert parsed.choices[0].message.parsed is not None
    anything = client.chat.completions.create(
        model="swarm-demo", messages=QUESTION, response_format={"type": "json_object"}, max_tokens=200
    )
    if anything.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(anything.choices[0].message.content or ""), dict)
    tool: Any = {"type": "function", **ADD["function"]}
    response = client.responses.create(model="swarm-demo", input="2 and 3", tools=[tool], tool_choice="required")
    assert [item.type for item in response.output][-1] == "function_call"
    typed = client.responses.parse(model="swarm-demo", input="2 and 3", text_format=Answer)
    assert typed.output_parsed is not None
