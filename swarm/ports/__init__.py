"""What the core asks of the world: Protocols, one a file."""
