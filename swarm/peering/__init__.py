"""HTTP out: another node as a source of text, its probe and its vote (aiohttp client)."""
