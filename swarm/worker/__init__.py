"""A program of its own: the process that holds torch, transformers, petals and hivemind.

Only `swarm.engine` starts it and speaks to it, through `swarm.wire.worker_messages`.
Floors: main (message loop), decoder (token loop), chain (petals), families (any decoder-only model), compat.
"""
