"""LiteLLM, which maps statuses to exceptions of its own. Run with the address of a daemon."""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

URL = sys.argv[1]
PLACE = {"model": "openai/swarm-demo", "api_base": URL, "api_key": "none", "num_retries": 0}
SUM = [{"role": "user", "content": "What is 37 + 48 - 15?"}]

whole = litellm.completion(**PLACE, messages=SUM, temperature=0, max_tokens=40)
assert "70" in whole.choices[0].message.content
chunks = list(
    litellm.completion(**PLACE, messages=SUM, temperature=0, stream=True, stream_options={"include_usage": True})
)
said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert said == whole.choices[0].message.content
assert any(getattr(chunk, "usage", None) for chunk in chunks)
vectors = litellm.embedding(**PLACE, input=["one", "two"])
assert len(vectors.data) == 2
assert len(vectors.data[0]["embedding"]) > 8
try:
    litellm.completion(**PLACE, messages=[{"role": "user", "content": "1 2 3 " * 4000}])
except litellm.ContextWindowExceededError:
    pass
else:
    raise AssertionError("a prompt beyond the context was not refused")
try:
    litellm.completion(**{**PLACE, "model": "openai/nobody-has-it"}, messages=SUM)
except litellm.NotFoundError:
    pass
else:
    raise AssertionError("an unknown model was not refused")
