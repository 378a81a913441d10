"""LangChain: chat, stream, batch, the legacy completion call with all its defaults, embeddings. Run with an address."""

import sys

from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

URL = sys.argv[1]
PLACE = {"base_url": URL, "api_key": "none", "model": "swarm-demo", "max_retries": 0}

chat = ChatOpenAI(**PLACE, temperature=0)
whole = chat.invoke("What is 37 + 48 - 15?")
assert "70" in whole.content
assert whole.usage_metadata["output_tokens"] > 0
assert "".join(chunk.content for chunk in chat.stream("What is 37 + 48 - 15?")) == whole.content
answers = chat.batch(["What is 2 + 3?", "What is 37 + 48 - 15?"])
assert answers[1].content == whole.content
legacy = OpenAI(**PLACE, temperature=0, max_tokens=5)
assert isinstance(legacy.invoke("1 + 1 ="), str)
assert "".join(legacy.stream("1 + 1 =")) == legacy.invoke("1 + 1 =")
vectors = OpenAIEmbeddings(**PLACE, check_embedding_ctx_length=False).embed_documents(["one", "two"])
assert len(vectors) == 2
assert vectors[0] != vectors[1]
