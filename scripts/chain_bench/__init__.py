"""Sections of `scripts/bench_chain.py`, one a module, and what they share: `nodes`, `checkpoints`, `tables`."""
