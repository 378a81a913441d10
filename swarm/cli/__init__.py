"""argv in, exit code out (click)."""

from swarm.cli.command import main

__all__ = ["main"]
