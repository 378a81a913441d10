"""What Petals 2.2.0.post1 (2023) needs before it can be imported on hivemind 1.1.12 and transformers 5.

`prepare()` is called once, before the first import of petals. Nothing that is installed is edited; each step names
its cause, and tests/unit/worker/test_compat.py fails when one is no longer needed or no longer fits.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import types
from collections.abc import Callable, Iterator

HIVEMIND_NAMES = {
    "hivemind.p2p": ("P2P", "P2PContext", "PeerID"),
    "hivemind.utils.logging": ("get_logger",),
    "hivemind.utils.nested": ("nested_compare", "nested_flatten", "nested_pack"),
    "hivemind.utils.serializer": ("MSGPackSerializer",),
    "hivemind.utils.tensor_descr": ("BatchTensorDescriptor", "TensorDescriptor"),
    "hivemind.utils.timed_storage": ("TimedStorage", "get_dht_time", "MAX_DHT_TIME_DISCREPANCY_SECONDS"),
    "hivemind.utils.asyncio": ("anext",),
    "hivemind.compression": ("serialize_torch_tensor", "deserialize_torch_tensor", "deserialize_tensor_stream"),
}
"""Top-level names of hivemind that Petals imports and that hivemind 1.1.12 no longer re-exports (hivemind #663)."""


def prepare() -> None:
    """Makes `import petals` work and keeps it silent and offline. Idempotent."""
    if "petals" in sys.modules:
        return
    # Petals asserts transformers < 4.35 and reconfigures the root logger, unless told not to.
    os.environ["PETALS_IGNORE_DEPENDENCY_VERSION"] = "1"
    os.environ["PETALS_LOGGING"] = "False"
    # Without this hivemind logs through its own handler, in colours, to stderr.
    os.environ.setdefault("HIVEMIND_LOGLEVEL", "WARNING")
    _restore_hivemind_names()
    # petals.models wraps the layers of 2023 and claims their config classes; our blocks are generic.
    sys.modules["petals.models"] = types.ModuleType("petals.models")
    # The backend imports adapters support, which needs peft 0.5 and bitsandbytes; we serve no adapters.
    sys.modules["petals.utils.peft"] = _without_adapters()


def set_clock(now: Callable[[], float]) -> None:
    """Lets hivemind and Petals go by this clock instead of `time.time`: records expire at a moment, and clocks differ.

    hivemind has one name for its time, but imports it by value; what holds it is found, so that none is forgotten."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("hivemind", "petals") and "get_dht_time" in vars(module):
            module.get_dht_time = now  # type: ignore[attr-defined]


def keep_logging() -> None:
    """After the imports of Petals: takes hivemind's handler from the root logger again, so that each line is told once.

    One of them (`utils.convert_block`) puts it there, whatever PETALS_LOGGING says."""
    from hivemind.utils.logging import use_hivemind_log_handler

    use_hivemind_log_handler("nowhere")


def _restore_hivemind_names() -> None:
    hivemind = importlib.import_module("hivemind")
    for module, names in HIVEMIND_NAMES.items():
        source = importlib.import_module(module)
        for name in names:
            if not hasattr(hivemind, name):
                setattr(hivemind, name, getattr(source, name))


def _without_adapters() -> types.ModuleType:
    module = types.ModuleType("petals.utils.peft")

    @contextlib.contextmanager
    def using_adapter(_name: str | None) -> Iterator[None]:
        yield

    module.using_adapter = using_adapter  # type: ignore[attr-defined]
    return module
