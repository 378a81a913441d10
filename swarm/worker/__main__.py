"""`python -m swarm.worker`; started by `swarm.engine` only."""

import os
import sys
import traceback

from swarm.worker.main import main

if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:
        traceback.print_exc()
    sys.stderr.flush()
    # Libraries hold threads that are not daemons; everything of ours is closed here.
    os._exit(code)
