"""Starts the daemon from a clone: `python main.py --auto --federation`."""

import sys

from swarm.cli import main

if __name__ == "__main__":
    sys.exit(main())
