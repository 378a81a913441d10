"""A model over several nodes: what a hop costs, what streams gain from each other, how it starts and what it survives.

    python scripts/bench_chain.py SECTION [options]

Sections are the modules of `scripts/chain_bench` that have `add_arguments(parser)` and `run(arguments)`; each prints
tables in Markdown. `SECTION --help` names its options.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

import chain_bench


def sections() -> dict[str, ModuleType]:
    """By name. A section imports what is heavy only when it runs, so that `--help` is quick."""
    names = (module.name for module in pkgutil.iter_modules(chain_bench.__path__))
    modules = {name: importlib.import_module(f"chain_bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = parser.add_subparsers(dest="section", required=True)
    found = sections()
    for name, module in found.items():
        summary = (module.__doc__ or "").splitlines()[0]
        module.add_arguments(choices.add_parser(name, help=summary, description=summary))
    arguments = parser.parse_args()
    found[arguments.section].run(arguments)


if __name__ == "__main__":
    main()
