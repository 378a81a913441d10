"""docs/bridge.md is complete, and what it says of Petals and hivemind is still true.

In a fresh interpreter each, as an import of Petals changes the process."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.warm_interpreter import WarmInterpreter

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bridge.md").read_text()
PREPARE = "from swarm.worker import compat; compat.prepare()\nimport importlib, inspect\n"
CLASSES = (
    ("swarm.worker.chain.serving", "BlockHandler", "petals.server.handler", "TransformerConnectionHandler"),
    ("swarm.worker.chain.serving", "ServedBlock", "petals.server.backend", "TransformerBackend"),
    ("swarm.worker.chain.records", "Announcement", "petals.data_structures", "ServerInfo"),
)


Run = Callable[[str], str]


@pytest.fixture
def run(interpreter: WarmInterpreter) -> Run:
    def output_of(code: str) -> str:
        done = interpreter.run(PREPARE + code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return output_of


def foreign_names() -> Iterator[str]:
    """Every `module.name` that is imported of the two libraries: by the chain and compat only."""
    for file in sorted((ROOT / "swarm").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("petals", "hivemind"):
                assert file.parent.name == "chain" or file.name == "compat.py", file
                yield from (f"{node.module}.{name.name}" for name in node.names)
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith(("petals", "hivemind")) for name in node.names), file


def named() -> set[str]:
    """The full names in the first two tables of the page."""
    return set(re.findall(r"^\| `((?:petals|hivemind)\.[\w.]+)`", PAGE, re.MULTILINE))


def test_the_page_names_what_is_imported_and_nothing_else() -> None:
    assert set(foreign_names()) == named()


def test_each_name_on_the_page_is_there(run: Run) -> None:
    run(
        f"for name in {sorted(named())!r}:\n"
        "    module, _, attribute = name.rpartition('.')\n"
        "    try: importlib.import_module(name)\n"
        "    except ImportError: getattr(importlib.import_module(module), attribute)\n"
    )


def test_what_is_overridden_has_the_base_s_parameters_and_is_on_the_page(run: Run) -> None:
    out = run(
        f"for module, name, base_module, base_name in {CLASSES!r}:\n"
        "    ours = getattr(importlib.import_module(module), name)\n"
        "    base = getattr(importlib.import_module(base_module), base_name)\n"
        "    assert issubclass(ours, base)\n"
        "    for key in vars(ours):\n"
        "        mine, theirs = getattr(ours, key), getattr(base, key, None)\n"
        "        if key.startswith('__') or not callable(theirs) or inspect.isclass(theirs): continue\n"
        "        mine, theirs = (inspect.signature(each).parameters for each in (mine, theirs))\n"
        "        kinds = {parameter.kind for parameter in mine.values()}\n"
        "        lacking = [parameter.kind for at, parameter in theirs.items() if at not in mine]\n"
        "        for kind in lacking:\n"
        "            wanted = kind.VAR_KEYWORD if kind is kind.KEYWORD_ONLY else kind.VAR_POSITIONAL\n"
        "            assert wanted in kinds or kind is kind.VAR_KEYWORD, (key, lacking)\n"
        "        print(f'{base_name}.{key}')\n"
    )
    bases = "|".join(base for *_, base in CLASSES)
    assert set(out.split()) == set(re.findall(rf"^\| `((?:{bases})\.\w+)`", PAGE, re.MULTILINE))


def test_the_handler_s_overrides_are_needed_and_nothing_of_its_constructor_is_missed(run: Run) -> None:
    """The latter: every `self.name` in those methods of Petals' and hivemind's that its calls come to."""
    run(
        "import ast, asyncio, textwrap\n"
        "from petals.server.handler import TransformerConnectionHandler as Base\n"
        "from swarm.worker.chain.serving import BlockHandler\n"
        "class Other(Base): pass\n"
        "assert Other._get_handle_name(None, 'rpc_info') != Base._get_handle_name(None, 'rpc_info')\n"
        "assert BlockHandler._get_handle_name(None, 'rpc_info') == Base._get_handle_name(None, 'rpc_info')\n"
        "unserved = {'rpc_forward', 'rpc_backward', 'rpc_push'}\n"
        "Other._collect_rpc_handlers(); BlockHandler._collect_rpc_handlers()\n"
        "assert unserved <= {handler.method_name for handler in Other._rpc_handlers}\n"
        "served = {handler.method_name for handler in BlockHandler._rpc_handlers}\n"
        "assert 'rpc_info' in served and not unserved & served\n"
        "async def make():\n"
        "    names = list(inspect.signature(BlockHandler.__init__).parameters)[1:]\n"
        "    return BlockHandler(**{name: 9 if name == 'max_tokens' else {} for name in names})\n"
        "handler = asyncio.run(make())\n"
        "assert handler._listener_task  # so that the listener to other processes is never started\n"
        "todo, seen = ['add_p2p_handlers', *served], {'_listen_to_event_queue'}\n"
        "while todo:\n"
        "    name = todo.pop()\n"
        "    method = getattr(type(handler), name, None)\n"
        "    if name in seen or not inspect.isfunction(method): continue\n"
        "    seen.add(name)\n"
        "    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))):\n"
        "        if isinstance(node, ast.Attribute) and getattr(node.value, 'id', '') == 'self':\n"
        "            assert isinstance(node.ctx, ast.Store) or hasattr(handler, node.attr), (name, node.attr)\n"
        "            todo.append(node.attr)\n"
        "assert len(seen) > 3\n"
    )


def test_upstream_would_look_outside_and_takes_what_we_give_its_private_names(run: Run) -> None:
    run(
        "from hivemind.p2p import P2P\n"
        "defaults = {name: each.default for name, each in inspect.signature(P2P.create).parameters.items()}\n"
        "asked = ('auto_nat', 'nat_port_map', 'use_relay', 'use_auto_relay', 'use_ipfs')\n"
        "assert set(asked) <= set(defaults) and any(defaults[name] for name in asked)\n"
        "source = inspect.getsource(P2P)\n"
        "assert 'self._client' in source and 'self._child' in source\n"
        "from hivemind.p2p.p2p_daemon_bindings.p2pclient import Client\n"
        "inspect.signature(Client.connect).bind(1, 2, 3)\n"
        "inspect.signature(Client.disconnect).bind(1, 2)\n"
        "from hivemind.dht.protocol import DHTProtocol\n"
        "inspect.signature(DHTProtocol.call_ping).bind(1, 2, validate=True, strict=False)\n"
        "from petals.utils.dht import _declare_active_modules\n"
        "inspect.signature(_declare_active_modules).bind(1, 2, 3, 4, expiration_time=5)\n"
        "from petals.client import ClientConfig\n"
        "from petals.constants import PUBLIC_INITIAL_PEERS\n"
        "assert tuple(ClientConfig().initial_peers) == tuple(PUBLIC_INITIAL_PEERS)\n"
    )


def test_the_time_is_held_by_value_in_several_modules_and_replaced_in_all(run: Run) -> None:
    run(
        "import sys, hivemind.dht.node, petals.utils.dht\n"
        "def holders():\n"
        "    found = [(name.partition('.')[0], module) for name, module in list(sys.modules.items())]\n"
        "    return [m for top, m in found if top in ('hivemind', 'petals') and 'get_dht_time' in vars(m)]\n"
        "assert len(holders()) > 2\n"
        "compat.set_clock(lambda: 7.0)\n"
        "assert all(module.get_dht_time() == 7.0 for module in holders())\n"
    )


def test_an_import_of_petals_takes_the_root_logger_which_is_given_back(run: Run) -> None:
    run(
        "import logging\n"
        "import swarm.worker.chain.node\n"
        "assert logging.getLogger().handlers, 'Petals leaves it alone: compat.keep_logging is not needed'\n"
        "compat.keep_logging()\n"
        "assert not logging.getLogger().handlers and logging.getLogger('hivemind').propagate\n"
    )
