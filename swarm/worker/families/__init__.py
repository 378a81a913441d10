"""Any decoder-only model of transformers: its checkpoint, its blocks, and what stands around them."""
