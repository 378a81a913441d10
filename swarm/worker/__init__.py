"""A program of its own: the process that holds torch, transformers, petals and hivemind.

Only `swarm.engine` starts it and speaks to it, through `swarm.wire.worker_messages`.
Floors: main (message loop), service and loading (what is held, answered and served), chain_door and decoder (token
loop), chain (petals), compute (the one thread that runs the model), families (any decoder-only model), moving, plan and
placement (pure choices), compat.
"""
