"""docs/bridge.md is complete, and what it says of Petals and hivemind is still true.

In a fresh interpreter, as the worker does it: an import of Petals changes the process."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bridge.md").read_text()
PREPARE = "from swarm.worker import compat; compat.prepare()\nimport importlib, inspect\n"
CLASSES = (
    ("swarm.worker.chain.serving", "BlockHandler", "petals.server.handler", "TransformerConnectionHandler"),
    ("swarm.worker.chain.serving", "ServedBlock", "petals.server.backend", "TransformerBackend"),
    ("swarm.worker.chain.records", "Announcement", "petals.data_structures", "ServerInfo"),
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", PREPARE + code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def foreign_names() -> Iterator[str]:
    """Every `module.name` that the worker imports of the two libraries."""
    for file in sorted((ROOT / "swarm" / "worker").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("petals", "hivemind"):
                yield from (f"{node.module}.{name.name}" for name in node.names)
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith(("petals", "hivemind")) for name in node.names), file


def named() -> set[str]:
    """The full names in the first two tables of the page."""
    return set(re.findall(r"^\| `((?:petals|hivemind)\.[\w.]+)`", PAGE, re.MULTILINE))


def test_the_page_names_what_is_imported_and_nothing_else() -> None:
    assert set(foreign_names()) == named()


def test_each_name_on_the_page_is_there() -> None:
    code = (
        f"for name in {sorted(named())!r}:\n"
        "    module, _, attribute = name.rpartition('.')\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError: getattr(importlib.import_module(module), attribute)\n"
    )
    run(code)


@pytest.mark.parametrize(("module", "name", "base_module", "base_name"), CLASSES)
def test_what_is_overridden_has_the_base_s_parameters_and_is_on_the_page(
    module: str, name: str, base_module: str, base_name: str
) -> None:
    code = (
        f"ours = importlib.import_module({module!r}).{name}\n"
        f"base = importlib.import_module({base_module!r}).{base_name}\n"
        "assert issubclass(ours, base)\n"
        "for key, value in vars(ours).items():\n"
        "    if key.startswith('__') or not callable(getattr(ours, key)) or not hasattr(base, key): continue\n"
        "    if inspect.isclass(getattr(ours, key)): continue\n"
        "    theirs = inspect.signature(getattr(base, key)).parameters\n"
        "    mine = inspect.signature(getattr(ours, key)).parameters\n"
        "    any_named = any(p.kind is p.VAR_KEYWORD for p in mine.values())\n"
        "    any_placed = any(p.kind is p.VAR_POSITIONAL for p in mine.values())\n"
        "    lacking = [p for n, p in theirs.items() if n not in mine]\n"
        "    assert all(any_named if p.kind is p.KEYWORD_ONLY else any_placed for p in lacking), (key, lacking)\n"
        "    print(key)\n"
    )
    overridden = set(run(code).split())
    on_page = set(re.findall(rf"^\| `{base_name}\.(\w+)`", PAGE, re.MULTILINE))
    assert overridden == on_page


def test_the_overrides_of_the_handler_are_still_needed() -> None:
    out = run(
        "from petals.server.handler import TransformerConnectionHandler as Base\n"
        "class Other(Base): pass\n"
        "print(Other._get_handle_name(None, 'rpc_info') != Base._get_handle_name(None, 'rpc_info'))\n"
        "Other._collect_rpc_handlers()\n"
        "print({'rpc_forward', 'rpc_backward', 'rpc_push'} <= {h.method_name for h in Other._rpc_handlers})\n"
        "from swarm.worker.chain.serving import BlockHandler\n"
        "BlockHandler._collect_rpc_handlers()\n"
        "print(not {'rpc_forward', 'rpc_backward', 'rpc_push'} & {h.method_name for h in BlockHandler._rpc_handlers})\n"
        "print(BlockHandler._get_handle_name(None, 'rpc_info') == Base._get_handle_name(None, 'rpc_info'))\n"
    )
    assert out.split() == ["True"] * 4


def test_without_its_constructor_the_handler_has_all_that_its_calls_ask_for() -> None:
    """Every `self.name` in the methods of Petals' that serve a session or tell of a block."""
    out = run(
        "import ast, asyncio, textwrap, torch\n"
        "from types import SimpleNamespace\n"
        "from hivemind.moe.server.connection_handler import ConnectionHandler\n"
        "from hivemind.p2p.servicer import ServicerBase\n"
        "from petals.server.handler import TransformerConnectionHandler as Base\n"
        "from swarm.worker.chain.serving import BlockHandler\n"
        "parameters = list(inspect.signature(BlockHandler.__init__).parameters)[1:]\n"
        "async def make():\n"
        "    return BlockHandler(**{name: 9 if name == 'max_tokens' else {} for name in parameters})\n"
        "handler = asyncio.run(make())\n"
        "served = {'rpc_info', 'add_p2p_handlers', *(h.method_name for h in BlockHandler._rpc_handlers or ())}\n"
        "todo, seen = list(served), set()\n"
        "while todo:\n"
        "    name = todo.pop()\n"
        "    method = next((vars(c)[name] for c in type(handler).__mro__ if name in vars(c)), None)\n"
        "    if name in seen or not inspect.isfunction(method): continue\n"
        "    seen.add(name)\n"
        "    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))):\n"
        "        if isinstance(node, ast.Attribute) and getattr(node.value, 'id', '') == 'self':\n"
        "            if isinstance(node.ctx, ast.Load): assert hasattr(handler, node.attr), (name, node.attr)\n"
        "            todo.append(node.attr)\n"
        "print(len(seen))\n"
    )
    assert int(out) >= 3


def test_libp2p_would_look_outside_by_itself() -> None:
    out = run(
        "from hivemind.p2p import P2P\n"
        "defaults = {n: p.default for n, p in inspect.signature(P2P.create).parameters.items()}\n"
        "asked = ('auto_nat', 'nat_port_map', 'use_relay', 'use_auto_relay', 'use_ipfs')\n"
        "print(all(n in defaults for n in asked), any(defaults[n] for n in asked))\n"
        "from petals.constants import PUBLIC_INITIAL_PEERS\n"
        "from petals.client import ClientConfig\n"
        "print(tuple(ClientConfig().initial_peers) == tuple(PUBLIC_INITIAL_PEERS))\n"
    )
    assert out.split() == ["True", "True", "True"]


def test_private_names_that_are_called_take_what_we_give_them() -> None:
    run(
        "from petals.utils.dht import _declare_active_modules\n"
        "inspect.signature(_declare_active_modules).bind(1, 2, 3, 4, expiration_time=5)\n"
        "from hivemind.p2p import P2P\n"
        "from hivemind.p2p.p2p_daemon_bindings.p2pclient import Client\n"
        "inspect.signature(Client.connect).bind(1, 2, 3)\n"
        "source = inspect.getsource(P2P)\n"
        "assert 'self._client' in source and 'self._child' in source\n"
        "from hivemind.dht.protocol import DHTProtocol\n"
        "inspect.signature(DHTProtocol.call_ping).bind(1, 2, validate=True, strict=False)\n"
    )


def test_the_time_is_held_by_value_in_several_modules_and_replaced_in_all() -> None:
    out = run(
        "import sys, hivemind.dht.node, petals.utils.dht, hivemind.utils.timed_storage as origin\n"
        "ours = lambda name: name.partition('.')[0] in ('hivemind', 'petals')\n"
        "named = lambda: [module for name, module in list(sys.modules.items()) if ours(name)]\n"
        "holders = lambda: [module for module in named() if 'get_dht_time' in vars(module)]\n"
        "print(len(holders()) > 2)\n"
        "compat.set_clock(lambda: 7.0)\n"
        "print(all(m.get_dht_time() == 7.0 for m in holders()))\n"
    )
    assert out.split() == ["True", "True"]
