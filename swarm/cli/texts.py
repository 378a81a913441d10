"""What --help says besides the options."""

from __future__ import annotations

import swarm

HELP = """The machines of one network as one inference service for language models.

Each machine runs this daemon; they find each other, share the work, and answer OpenAI clients at /v1."""

EPILOG = """Examples:
  local-swarm --auto                     the model, the blocks and the address chosen by the hardware
  local-swarm --auto --federation        the same, and the machines vote on every answer
  local-swarm --model demo               the small built-in model, to try things out
  local-swarm --model /models/big --blocks 0:16
                                         blocks 0 to 15 here; other machines serve the rest
  local-swarm --auto --no-mdns --peer 192.168.1.20:17615
                                         where multicast is blocked

Settings: built-in < config file < environment < flags.
  Without --config, config.toml of the data folder and then of the current folder are read
  where they exist; the log says which. config.example.toml lists every setting; its variable
  is SWARM_<SECTION>_<KEY>, such as SWARM_API_PORT."""

SHORT_HELP = f"""Local Swarm {swarm.__version__}: the machines of one network as one inference service.

Nothing is configured yet. Start it with the model, the blocks and the address chosen by the hardware:

  local-swarm --auto                     this machine answers, with others where the model is too large for it
  local-swarm --auto --federation        the machines vote on every answer
  local-swarm --model NAME_OR_PATH       a model of your choice

All options: local-swarm --help"""
