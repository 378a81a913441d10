"""What the worker does: loads a model, opens the chain, runs answers side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

import torch

from swarm.domain.memory import within_limit
from swarm.domain.nodes import BlockSpan, Coverage
from swarm.wire.worker_commands import Aside, CheckPeer, Generate, LoadModel, WeightsReady
from swarm.wire.worker_events import (
    ChainChanged,
    ChainOpened,
    Event,
    Loaded,
    LoadFailed,
    Loading,
    PeerChecked,
)
from swarm.worker import device
from swarm.worker.answers import Answers
from swarm.worker.asides import Asides
from swarm.worker.chain_door import ChainDoor
from swarm.worker.compute.thread import Compute
from swarm.worker.decoder.forms import Forms
from swarm.worker.decoder.steppers import Stepper, Steppers
from swarm.worker.failures import LoadFailure
from swarm.worker.families.checkpoint import Checkpoint, open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.loading import MovingBlocks
from swarm.worker.missing_weights import MissingWeights
from swarm.worker.plan import LoadPlan, Sizes, plan_load

logger = logging.getLogger(__name__)


class Service:
    """All methods return at once; what comes of them is sent as events. A context manager."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._model: LoadedModel | None = None
        self._steppers: Steppers | None = None
        self._forms: Forms | None = None
        self._command: LoadModel | None = None
        self._missing = MissingWeights(send)
        self._compute = Compute()
        self._chain = ChainDoor(self._compute, self._chain_changed, self._chain_ended)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._running: dict[str, threading.Event] = {}
        self._answers = Answers(send, self._stepper, self._running, self._compute.turn)
        self._asides = Asides(send, self._stepper, self._running)
        self._moving: MovingBlocks | None = None
        self._block_bytes = 0
        self._checks = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._is_checking = False

    def __enter__(self) -> Service:
        self._hardware = device.detect()
        self._send(self._hardware)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for cancelled in list(self._running.values()):
            cancelled.set()
        self._missing.close()
        if self._moving:
            self._moving.stop()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._asides.close()
        self._checks.shutdown(wait=False, cancel_futures=True)
        self._answers.close()
        self._chain.close()
        self._compute.close()

    # -- loading ------------------------------------------------------------------------------------------------------

    def load(self, command: LoadModel) -> None:
        self._command = command
        self._answers.open(command.slots)
        self._loader.submit(self._load, command)

    def weights_ready(self, message: WeightsReady) -> None:
        self._missing.arrived(message)

    def _load(self, command: LoadModel) -> None:
        try:
            self._send(Loading(f"opening {command.model_id}", 0.0))
            checkpoint = open_checkpoint(
                command.path, command.model_id, command.digest, self._missing.get, command.hub_cache
            )
            self._load_checkpoint(command, checkpoint.quantised(command.quantization))
        except LoadFailure as error:
            self._send(LoadFailed(str(error), error.permanent))
        except Exception as error:
            logger.exception("loading failed")
            self._send(LoadFailed(f"Loading {command.model_id} failed: {type(error).__name__}: {error}", False))

    def _load_checkpoint(self, command: LoadModel, checkpoint: Checkpoint) -> None:
        stored, hardware = checkpoint.stored_dtype(), self._hardware
        free = within_limit(command.memory_limit, hardware.device_memory_bytes, device.total_memory(hardware.device))
        # A limit makes a node hold fewer blocks, not less exact ones than are stored.
        roomy = free if stored.itemsize < torch.float32.itemsize else hardware.device_memory_bytes
        in_float32, kind = checkpoint.total_bytes(torch.float32), checkpoint.quantization
        dtype = device.choose_dtype(hardware.device, stored, in_float32, roomy, kind)
        layers = checkpoint.info.layers
        sizes = Sizes(layers, checkpoint.layer_bytes(dtype), checkpoint.ends_bytes(dtype), free)
        self._block_bytes = sizes.layer_bytes
        device.set_threads(command.threads, sizes.layer_bytes)
        asked = plan_load(command.blocks, command.engine, sizes)
        if checkpoint.makeup:
            asked = replace(asked, why=f"{checkpoint.makeup.in_words(kind)} {asked.why}")
        plan = self._placed(command, checkpoint, asked)
        self._send(Loading(f"reading the weights of {command.model_id}", 0.3))
        model = load_model(checkpoint, plan.load, hardware.device, dtype)
        self._steppers, self._model = Steppers(self._compute, model), model
        if not model.tokenizer.chat_template:
            logger.warning("%s has no chat template; conversations are put to it as ChatML", command.model_id)
        self._forms = Forms(model.tokenizer, model.end_tokens, model.known_tokens)
        if model.not_cut:
            plan = _alone(plan, command, model.not_cut)
        joins = command.chain_host and (plan.serve or not self._model.whole or command.engine == "chain")
        if not joins and not self._model.whole:
            raise LoadFailure("Only a part of the model is here and the chain is switched off; set --engine local")
        if joins:
            if self._model.whole:
                self._loaded(plan, served=None, complete=False)
            self._send(Loading("joining the chain", 0.8))
            self._open_chain(command, checkpoint, max(sizes.fitting_layers, len(plan.serve or ())))
            if self._chain.addresses:
                self._serve(plan, free)
        self._loaded(plan, plan.serve if self._chain.addresses else None, complete=True)
        if asked.count is not None:
            self._keep_placed(asked, plan, free)

    def _placed(self, command: LoadModel, checkpoint: Checkpoint, plan: LoadPlan) -> LoadPlan:
        """The plan with its blocks named, and announced to others before they are read.

        The whole model is read first and joins then: it answers alone until it has."""
        is_part = plan.load is not None and len(plan.load) < checkpoint.info.layers
        if plan.count is None and not (is_part and command.chain_host):
            return plan
        if plan.serve is not None:
            self._open_chain(command, checkpoint, len(plan.serve))
            self._chain.promise(plan.serve)
            return plan
        assert plan.count is not None
        if command.chain_host is None:
            raise LoadFailure("Only a part of the model fits here and the chain is switched off; set --engine local")
        self._open_chain(command, checkpoint, plan.count, movable=True)
        self._send(Loading("choosing blocks with the other nodes", 0.2))
        return plan.placed(self._chain.claim(plan.count))

    def _open_chain(self, command: LoadModel, checkpoint: Checkpoint, capacity: int, *, movable: bool = False) -> None:
        try:
            self._chain.open(command, checkpoint.info, capacity, movable=movable)
        except Exception as error:
            if self._model and self._model.whole and command.engine != "chain":
                # It still answers by itself.
                logger.warning("the chain did not open: %s", error)
                return
            raise LoadFailure(f"The chain did not open: {error}", permanent=False) from error
        self._send(ChainOpened(self._chain.addresses))

    def _serve(self, plan: LoadPlan, free_bytes: int) -> None:
        assert self._model is not None
        if plan.serve and self._model.blocks:
            self._chain.serve(self._model.blocks, plan.serve, free_bytes, self._model.checkpoint.info.context_tokens)

    def _keep_placed(self, asked: LoadPlan, plan: LoadPlan, free_bytes: int) -> None:
        """From now on the blocks may be exchanged for others that are needed more."""
        assert self._model is not None
        assert plan.serve is not None
        assert asked.count is not None

        def use(model: LoadedModel, span: BlockSpan | None) -> None:
            self._model = model
            now = asked if span is None else asked.placed(span)
            self._serve(now, free_bytes)
            self._loaded(now, span, complete=span is not None)

        moving = self._moving = MovingBlocks(self._chain, self._model, plan.serve, asked.count, use)
        threading.Thread(target=moving.run, name="placement", daemon=True).start()

    def _loaded(self, plan: LoadPlan, served: BlockSpan | None, *, complete: bool) -> None:
        assert self._model is not None
        addresses = self._chain.addresses
        info, whole = self._model.checkpoint.info, self._model.whole
        folder = str(self._model.checkpoint.folder)
        self._send(Loaded(info, served, whole, plan.why, addresses, complete, folder))

    # -- the chain ----------------------------------------------------------------------------------------------------

    def introduce(self, addresses: Sequence[str]) -> None:
        self._chain.introduce(addresses)

    def forget(self, addresses: Sequence[str]) -> None:
        self._chain.forget(addresses)

    def suspect(self, addresses: Sequence[str]) -> None:
        self._chain.suspect(addresses)

    def move_chain(self, host: str) -> None:
        """This machine has another address; what is loaded stays."""
        self._loader.submit(self._move_chain, host)

    def _move_chain(self, host: str) -> None:
        if not self._chain.addresses:
            return
        try:
            self._chain.move_to(host)
            self._send(ChainOpened(self._chain.addresses))
        except Exception as error:
            self._send(LoadFailed(f"The chain did not open at {host}: {error}", permanent=False))

    def _chain_changed(self, coverage: Coverage) -> None:
        self._send(ChainChanged(replace(coverage, block_bytes=self._block_bytes)))

    def _chain_ended(self) -> None:
        """Told as a failed load: the daemon then starts the worker again."""
        self._send(LoadFailed("libp2p's daemon has ended", permanent=False))

    def avoid(self, servers: Sequence[str]) -> None:
        self._chain.avoid(servers)

    def check_peer(self, command: CheckPeer) -> None:
        """Nothing while this node has work, or while it still checks another one."""
        if self._model is not None and not self._is_checking and self._is_idle():
            self._is_checking = True
            self._checks.submit(self._check, self._model, command)

    def _is_idle(self) -> bool:
        return not self._running

    def _check(self, model: LoadedModel, command: CheckPeer) -> None:
        try:
            found = self._chain.check_peer(model, command.prefer, command.without, self._is_idle)
            if found:
                self._send(PeerChecked(found.node, found.server, found.span, found.agrees, found.difference))
        except Exception:
            logger.exception("a check failed")
        finally:
            self._is_checking = False

    # -- answers ------------------------------------------------------------------------------------------------------

    def generate(self, command: Generate) -> None:
        self._answers.begin(self._model, self._forms, command)

    def aside(self, command: Aside) -> None:
        self._asides.begin(self._model, command)

    def cancel(self, request: str) -> None:
        if cancelled := self._running.get(request):
            cancelled.set()

    def _stepper(self, model: LoadedModel, cancelled: threading.Event, max_tokens: int) -> Stepper:
        assert self._command is not None
        assert self._steppers is not None
        if model.whole and self._command.engine != "chain":
            return self._steppers.local(max_tokens)
        return self._steppers.chain(self._chain.session(max_tokens, cancelled.is_set))


def _alone(plan: LoadPlan, command: LoadModel, not_cut: str) -> LoadPlan:
    """The plan of a whole model whose blocks cannot be served. Raises `LoadFailure` where they were asked for."""
    if command.engine == "chain" or (command.engine == "auto" and command.blocks not in ("auto", "none")):
        raise LoadFailure(not_cut)
    return replace(plan, serve=None, why=f"The whole model answers here and nobody else can use it. {not_cut}")
