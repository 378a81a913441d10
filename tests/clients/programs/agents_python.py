"""OpenAI's agents SDK, over both endpoints. Run with the address of a daemon."""

import asyncio
import sys

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)


async def main() -> None:
    client = AsyncOpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
    for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
        agent = Agent(name="sums", instructions="Answer briefly.", model=kind("swarm-demo", client))
        done = await Runner.run(agent, "What is 37 + 48 - 15?")
        assert isinstance(done.final_output, str)
        assert done.final_output
        streamed = Runner.run_streamed(agent, "What is 2 + 3?")
        events = [event.type async for event in streamed.stream_events()]
        assert "raw_response_event" in events
        assert streamed.final_output


asyncio.run(main())
