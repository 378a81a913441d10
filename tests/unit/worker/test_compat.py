"""Every step of the bridge is still needed, and still fits: run in a fresh interpreter, as the worker does."""

import ast
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from swarm.worker.compat import HIVEMIND_NAMES
from tests.lab.warm_interpreter import WarmInterpreter


def taken_from_hivemind(file: Path) -> Iterator[str]:
    """Names that a file of Petals takes from hivemind's top level."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Petals has escapes that Python 3.11 warns about
        tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "hivemind":
            yield from (name.name for name in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hivemind":
            yield node.attr


def test_petals_imports_after_prepare_and_not_before(interpreter: WarmInterpreter) -> None:
    after = interpreter.run(
        "from swarm.worker import compat; compat.prepare(); compat.prepare()\n"
        "import petals.server.handler, petals.utils.dht, petals.server.backend"
    )
    assert after.returncode == 0, after.stderr
    assert interpreter.run("import petals").returncode != 0


def test_nothing_that_only_training_or_the_internet_needs_is_imported(interpreter: WarmInterpreter) -> None:
    done = interpreter.run(
        "from swarm.worker import compat; compat.prepare()\n"
        "import sys, swarm.worker.chain.node, swarm.worker.chain.runners\n"
        "heavy = {'bitsandbytes', 'peft', 'speedtest', 'cpufeature', 'petals.server.server', 'petals.cli'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_restored_names_are_exactly_those_that_petals_imports_and_hivemind_lacks(
    interpreter: WarmInterpreter,
) -> None:
    found = find_spec("petals")
    assert found is not None
    assert found.origin is not None
    asked = {name for file in Path(found.origin).parent.rglob("*.py") for name in taken_from_hivemind(file)}
    present = interpreter.run("import hivemind, json; print(json.dumps(dir(hivemind)))")
    lacking = {name for name in asked if f'"{name}"' not in present.stdout} - {"compression", "dht"}
    restored = {name for names in HIVEMIND_NAMES.values() for name in names}
    assert lacking <= restored
    assert restored <= asked


def test_each_name_is_where_the_bridge_takes_it_from(interpreter: WarmInterpreter) -> None:
    done = interpreter.run(
        "import importlib; from swarm.worker.compat import HIVEMIND_NAMES\n"
        "for module, names in HIVEMIND_NAMES.items():\n"
        "    for name in names: getattr(importlib.import_module(module), name)"
    )
    assert done.returncode == 0, done.stderr


def test_a_petals_client_is_told_how_much_room_there_is(interpreter: WarmInterpreter) -> None:
    done = interpreter.run(
        "from swarm.worker import compat; compat.prepare()\n"
        "import asyncio, torch\n"
        "from types import SimpleNamespace\n"
        "from hivemind.proto.runtime_pb2 import ExpertUID\n"
        "from hivemind.utils.serializer import MSGPackSerializer\n"
        "from swarm.worker.chain.serving import BlockHandler, ServedBlock, SpanCache\n"
        "blocks = SimpleNamespace(dtype=torch.float32, device=torch.device('cpu'), layers=[0],\n"
        "    config=SimpleNamespace(hidden_size=8), cache_bytes_per_token=64)\n"
        "async def ask():\n"
        "    handler = BlockHandler({'swarm.0': ServedBlock('swarm.0', blocks, SpanCache(640))}, 'swarm', None, 9)\n"
        "    reply = await handler.rpc_info(ExpertUID(uid='swarm.0'), None)\n"
        "    print(MSGPackSerializer.loads(reply.serialized_info)['cache_tokens_available'])\n"
        "asyncio.run(ask())"
    )
    assert done.stdout.strip() == "10", done.stdout + done.stderr
