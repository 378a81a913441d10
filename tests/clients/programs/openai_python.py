"""The official Python client, sync and async. Run with the address of a daemon that serves the demo model."""

import asyncio
import sys
from typing import Any

import openai

URL = sys.argv[1]
SUM: Any = [{"role": "user", "content": "What is 37 + 48 - 15?"}]


def whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=SUM, temperature=0)
    stream = client.chat.completions.create(
        model=model, messages=SUM, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert "70" in said
    assert chunks[-1].usage == whole.usage
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": SUM[0]["content"]}]}]
    again = client.chat.completions.create(model=model, messages=parts, temperature=0)
    assert again.choices[0].message.content == said


def seeds_choices_and_stops(client: openai.OpenAI, model: str) -> None:
    def ask(**more: Any) -> list[str | None]:
        reply = client.chat.completions.create(model=model, messages=SUM, temperature=1.5, **more)
        return [choice.message.content for choice in reply.choices]

    assert ask(seed=7, n=3) == ask(seed=7, n=3)
    assert ask(seed=7)[0] == ask(seed=7, n=3)[0]
    for seed in range(3):
        stream = client.chat.completions.create(model=model, messages=SUM, temperature=2, seed=seed, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        whole = client.chat.completions.create(model=model, messages=SUM, temperature=2, seed=seed)
        assert streamed == whole.choices[0].message.content
    text = client.chat.completions.create(model=model, messages=SUM, temperature=0).choices[0].message.content or ""
    stop = text[4:9]
    cut = client.chat.completions.create(model=model, messages=SUM, temperature=0, stop=[stop])
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def logprobs(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(
        model=model, messages=SUM, temperature=0, logprobs=True, top_logprobs=3, max_tokens=8
    )
    told = reply.choices[0].logprobs
    assert told
    assert told.content
    assert b"".join(bytes(token.bytes or []) for token in told.content).decode() == reply.choices[0].message.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in told.content)
    scored = client.completions.create(model=model, prompt="1 + 1 = 2", echo=True, logprobs=1, max_tokens=0)
    said = scored.choices[0].logprobs
    assert said
    assert said.tokens
    assert said.token_logprobs
    assert said.token_logprobs[0] is None
    assert scored.choices[0].text == "1 + 1 = 2"
    assert len(said.tokens) == len(said.token_logprobs) == len(said.text_offset or [])


def vectors(client: openai.OpenAI, model: str) -> None:
    reply = client.embeddings.create(model=model, input=["one text", "another", "one text"])
    one, other, again = (entry.embedding for entry in reply.data)
    assert sum((a - b) ** 2 for a, b in zip(one, again, strict=True)) < 1e-6
    assert one != other
    plain = client.embeddings.create(model=model, input="one text", encoding_format="float", dimensions=8)
    assert abs(sum(value**2 for value in plain.data[0].embedding) - 1) < 1e-3


def errors(client: openai.OpenAI, model: str) -> None:
    def refused(kind: type[openai.APIStatusError], **body: Any) -> openai.APIStatusError:
        try:
            client.chat.completions.create(**{"model": model, "messages": SUM, **body})
        except kind as error:
            return error
        raise AssertionError(f"{body} was not refused")

    assert refused(openai.NotFoundError, model="nobody/has-it").code == "model_not_found"
    assert refused(openai.NotFoundError, model="nobody/has-it").request_id
    assert refused(openai.BadRequestError, temperature=3).param == "temperature"
    long: Any = [{"role": "user", "content": "1 2 3 " * 4000}]
    assert refused(openai.BadRequestError, messages=long).code == "context_length_exceeded"


def the_newer_endpoint(client: openai.OpenAI, model: str) -> None:
    reply = client.responses.create(model=model, input=SUM[0]["content"], temperature=0)
    assert "70" in reply.output_text
    with client.responses.stream(model=model, input=SUM[0]["content"], temperature=0) as stream:
        assert stream.get_final_response().output_text == reply.output_text


async def side_by_side_and_given_up(model: str) -> None:
    async with openai.AsyncOpenAI(base_url=URL, api_key="none") as client:
        stream = await client.chat.completions.create(model=model, messages=SUM, stream=True)
        async for _ in stream:
            break
        await stream.close()
        asked = (client.chat.completions.create(model=model, messages=SUM, temperature=0) for _ in range(6))
        texts = {reply.choices[0].message.content for reply in await asyncio.gather(*asked)}
        assert len(texts) == 1


with openai.OpenAI(base_url=URL, api_key="none", max_retries=0) as client:
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).id == model
    for check in (
        whole_and_streamed,
        seeds_choices_and_stops,
        logprobs,
        vectors,
        errors,
        the_newer_endpoint,
    ):
        check(client, model)
asyncio.run(side_by_side_and_given_up(model))
