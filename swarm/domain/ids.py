"""Ids and closed sets of words, as types."""

from __future__ import annotations

from typing import Literal, NewType

NodeId = NewType("NodeId", str)
"""Who a machine is: lower-case base32 of a hash of its public key; the same after every restart."""
BootId = NewType("BootId", str)
"""Which run of a node this is: random at each start, so that a restart replaces the old row at once."""
RequestId = NewType("RequestId", str)

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls"]
StrategyName = Literal["best_of_n", "weighted_vote", "first_valid", "mbr", "abstain", "route"]
"""`route` asks no vote: the whole request goes to the node that is expected to finish it first."""
TrustMode = Literal["open", "local_double", "anchored"]
"""What this node's own vote counts for: as any other's; twice; or no answer against it without a majority of heads."""
RouteName = Literal["local", "chain", "peer", "federation"]
"""How a request was answered: whole model here, blocks on several nodes, one other node, or a vote."""
NodeState = Literal["starting", "loading", "ready", "waiting", "failed"]
"""`waiting`: this node serves blocks, and others that the model needs are missing."""
Standing = Literal["candidate", "alive", "suspect"]
"""`candidate`: heard of, not yet heard from. `suspect`: silent; gets no new work."""
NewsKind = Literal["joined", "lost"]
Quantization = Literal["none", "int8", "int4"]
"""Of the weights of decoder layers in memory."""
