"""The flags of the daemon, in the order of --help."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

import swarm
from swarm.cli.grouped_help import GroupedOption
from swarm.domain.ids import Quantization, StrategyName
from swarm.engine.settings import EngineSettings
from swarm.host.settings import LogFormat, LogLevel

PROGRAM = "local-swarm"

Decorated = Callable[..., Any]
Decorator = Callable[[Decorated], Decorated]

# Unset is None, not False: only what was written may override the environment and the config file.
_option = partial(click.option, cls=GroupedOption, default=None)
_model, _federation, _network, _files = (
    partial(_option, group=group) for group in ("Model", "Federation", "Network", "Files and logs")
)
_engine_words = get_args(get_type_hints(EngineSettings)["engine"])
_bits = get_args(Quantization)

_OPTIONS: tuple[Decorator, ...] = (
    _model("--auto", is_flag=True, help="Start, and choose by the hardware whatever is not set. What is set, stays."),
    _model("--model", metavar="NAME_OR_PATH", help="A folder, a Hugging Face name, demo, or auto."),
    _model("--blocks", metavar="auto|all|N|A:B|none", help="Which blocks to serve to others: how many, or A to B-1."),
    _model("--engine", type=click.Choice(_engine_words), help="The whole model here, or a chain of several machines."),
    _model("--no-share-weights", is_flag=True, flag_value=False, help="Hand no weights on to other machines."),
    _model("--no-fetch-weights", is_flag=True, flag_value=False, help="Take no weights from other machines."),
    _model("--memory", metavar="SIZE|PERCENT", help="What the model may take of the memory: 2GiB, 50%."),
    _model("--quantization", type=click.Choice(_bits), help="Weights in fewer bits: less memory, less exact."),
    _federation("--federation", is_flag=True, flag_value=True, help="Ask the peers too, and decide among the answers."),
    _federation("--strategy", type=click.Choice(get_args(StrategyName)), help="How it is decided."),
    _network("--host", metavar="ADDRESS", help="IP address to listen on; by default the private LAN address."),
    _network("--port", type=click.IntRange(0, 65535), metavar="PORT", help="TCP port; 0 takes any free one."),
    _network("--peer", multiple=True, metavar="HOST:PORT", help="A machine to ask in any case; may be repeated."),
    _network("--no-mdns", is_flag=True, flag_value=False, help="Neither announce this machine nor listen for others."),
    _files("--config", type=click.Path(path_type=Path), metavar="FILE", help="Read this file and no other one."),
    _files("--data-dir", metavar="FOLDER", help="Where key and state are kept; one daemon a folder."),
    _files("--log-level", type=click.Choice(get_args(LogLevel)), help="How much is told on stderr."),
    _files("--log-format", type=click.Choice(get_args(LogFormat)), help="For people, or JSON lines for collectors."),
    click.version_option(swarm.__version__, "-V", "--version", prog_name=PROGRAM),
)


def daemon_options(function: Decorated) -> Decorated:
    """Adds all of them."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)
