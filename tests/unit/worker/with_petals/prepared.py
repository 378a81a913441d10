"""A plugin for pytest: makes Petals importable before any test is."""

from swarm.worker import compat

compat.prepare()
