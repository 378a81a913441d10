"""HTTP in: OpenAI routes, server-sent events, /v1/federation/*, the status page, the table of errors (aiohttp)."""
