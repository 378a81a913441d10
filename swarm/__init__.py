"""Local Swarm: the machines of one network as one inference service for language models.

cli         argv in, exit code out
app         the composition root: builds, joins, starts, stops
config      defaults, config.toml, environment and flags become frozen settings
api         HTTP in: OpenAI routes, /v1/federation/*, the status page
discovery   mDNS: announce this node, hear the others
peering     HTTP out: another node as a source of text, its probe, its vote
engine      the door to the worker process
host        this machine: clock, hardware, folders, identity
doctor      why machines do not see each other
federation  FederatedSwarm: who is asked, and which answer wins
generation  admission and the use case of answering on this node
membership  who is in the swarm now
wire        bytes ⇄ domain
ports       what the core asks of the world
domain      what the words mean
worker      a program of its own, which holds torch, transformers, petals and hivemind
"""

__version__ = "0.1.0"
