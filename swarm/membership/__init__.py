"""Who is in the swarm now: a pure state machine and its shell."""
