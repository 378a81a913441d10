"""Weights over the LAN: what this node hands on, and how it gets what it lacks. No torch here."""
