"""What the worker does: loads a model, opens the chain, runs answers side by side."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

import torch

from swarm.domain.nodes import BlockSpan
from swarm.wire.worker_messages import (
    ChainChanged,
    Event,
    Generate,
    GenerationFailed,
    Loaded,
    LoadFailed,
    Loading,
    LoadModel,
    Score,
    WeightsReady,
)
from swarm.worker import device
from swarm.worker.chain_door import ChainDoor
from swarm.worker.decoder.generate import generate
from swarm.worker.decoder.scoring import score
from swarm.worker.decoder.steppers import ChainStepper, LocalStepper, Stepper
from swarm.worker.failures import BlocksMissing, Cancelled, LoadFailure, PromptFailure
from swarm.worker.families.checkpoint import Checkpoint, open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.missing_weights import MissingWeights
from swarm.worker.plan import LoadPlan, Sizes, plan_load

logger = logging.getLogger(__name__)


class Service:
    """All methods return at once; what comes of them is sent as events. A context manager."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._model: LoadedModel | None = None
        self._command: LoadModel | None = None
        self._missing = MissingWeights(send)
        self._chain = ChainDoor(self._chain_changed, self._chain_ended)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._answers: ThreadPoolExecutor | None = None
        self._scores = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._running: dict[str, threading.Event] = {}

    def __enter__(self) -> Service:
        self._hardware = device.detect()
        self._send(self._hardware)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for cancelled in list(self._running.values()):
            cancelled.set()
        self._missing.close()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._scores.shutdown(wait=False, cancel_futures=True)
        if self._answers:
            self._answers.shutdown(wait=False, cancel_futures=True)
        self._chain.close()

    # -- loading ------------------------------------------------------------------------------------------------------

    def load(self, command: LoadModel) -> None:
        self._command = command
        self._answers = ThreadPoolExecutor(command.slots, thread_name_prefix="answer")
        self._loader.submit(self._load, command)

    def weights_ready(self, message: WeightsReady) -> None:
        self._missing.arrived(message)

    def _load(self, command: LoadModel) -> None:
        try:
            self._send(Loading(f"opening {command.model_id}", 0.0))
            checkpoint = open_checkpoint(
                command.path, command.model_id, command.digest, self._missing.get, command.hub_cache
            )
            self._load_checkpoint(command, checkpoint)
        except LoadFailure as error:
            self._send(LoadFailed(str(error), error.permanent))
        except Exception as error:
            logger.exception("loading failed")
            self._send(LoadFailed(f"Loading {command.model_id} failed: {type(error).__name__}: {error}", False))

    def _load_checkpoint(self, command: LoadModel, checkpoint: Checkpoint) -> None:
        free = self._hardware.device_memory_bytes
        stored = checkpoint.stored_dtype()
        dtype = device.choose_dtype(self._hardware.device, stored, sum(checkpoint.bytes_of.values()), free)
        growth = torch.empty((), dtype=dtype).element_size() / torch.empty((), dtype=stored).element_size()
        sizes = Sizes(
            checkpoint.info.layers,
            int(checkpoint.layer_bytes() * growth),
            int(checkpoint.ends_bytes() * growth),
            free,
        )
        device.set_threads(command.threads, sizes.layer_bytes)
        plan = plan_load(command.blocks, command.engine, sizes)
        if plan.count is not None:
            self._open_chain(command, checkpoint)
            plan = plan.placed(self._chain.place(plan.count))
        self._send(Loading(f"reading the weights of {command.model_id}", 0.3))
        self._model = load_model(checkpoint, plan.load, self._hardware.device, dtype)
        if self._model.not_cut:
            plan = _alone(plan, command, self._model.not_cut)
        joins = command.chain_host and (plan.serve or not self._model.whole or command.engine == "chain")
        if not joins and not self._model.whole:
            raise LoadFailure("Only a part of the model is here and the chain is switched off; set --engine local")
        if joins:
            if self._model.whole:
                self._loaded(plan, served=None, complete=False)
            self._send(Loading("joining the chain", 0.8))
            self._open_chain(command, checkpoint)
            self._serve(plan, free)
        self._loaded(plan, plan.serve if self._chain.addresses else None, complete=True)

    def _open_chain(self, command: LoadModel, checkpoint: Checkpoint) -> None:
        try:
            self._chain.open(command, checkpoint.info)
        except Exception as error:
            if self._model and self._model.whole and command.engine != "chain":
                # It still answers by itself.
                logger.warning("the chain did not open: %s", error)
                return
            raise LoadFailure(f"The chain did not open: {error}", permanent=False) from error

    def _serve(self, plan: LoadPlan, free_bytes: int) -> None:
        assert self._model is not None
        if plan.serve and self._model.blocks:
            self._chain.serve(self._model.blocks, plan.serve, free_bytes, self._model.checkpoint.info.context_tokens)

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

    def _chain_changed(self, missing: tuple[BlockSpan, ...]) -> None:
        self._send(ChainChanged(missing))

    def _chain_ended(self) -> None:
        """Told as a failed load: the daemon then starts the worker again."""
        self._send(LoadFailed("libp2p's daemon has ended", permanent=False))

    # -- answers ------------------------------------------------------------------------------------------------------

    def generate(self, command: Generate) -> None:
        if self._model is None or self._answers is None:
            self._send(GenerationFailed(command.id, "unavailable", "No model is loaded yet"))
            return
        cancelled = self._running[command.id] = threading.Event()
        self._answers.submit(self._answer, self._model, command, cancelled)

    def score(self, command: Score) -> None:
        """One after the other: judging others' answers must not slow down one's own."""
        if self._model is None:
            self._send(GenerationFailed(command.id, "unavailable", "No model is loaded yet"))
            return
        cancelled = self._running[command.id] = threading.Event()
        self._scores.submit(self._score, self._model, command, cancelled)

    def _score(self, model: LoadedModel, command: Score, cancelled: threading.Event) -> None:
        try:
            context_tokens = model.checkpoint.info.context_tokens
            open_stepper = functools.partial(self._stepper, model, cancelled)
            self._send(score(command, model.tokenizer, context_tokens, open_stepper, cancelled))
        except Exception as error:
            self._send(_failure(command.id, error))
        finally:
            self._running.pop(command.id, None)

    def cancel(self, request: str) -> None:
        if cancelled := self._running.get(request):
            cancelled.set()

    def _answer(self, model: LoadedModel, command: Generate, cancelled: threading.Event) -> None:
        try:
            _check_resume(command.resume, model)
            pieces = generate(
                command,
                model.tokenizer,
                model.end_tokens,
                model.checkpoint.info.context_tokens,
                functools.partial(self._stepper, model, cancelled),
                cancelled,
            )
            with contextlib.closing(pieces):
                for piece in pieces:
                    self._send(piece)
        except Exception as error:
            self._send(_failure(command.id, error))
        finally:
            self._running.pop(command.id, None)

    def _stepper(self, model: LoadedModel, cancelled: threading.Event, max_tokens: int) -> Stepper:
        assert self._command is not None
        if model.whole and self._command.engine != "chain":
            return LocalStepper(model)
        return ChainStepper(model, self._chain.session(model.blocks, max_tokens, cancelled.is_set))


def _alone(plan: LoadPlan, command: LoadModel, not_cut: str) -> LoadPlan:
    """The plan of a whole model whose blocks cannot be served. Raises `LoadFailure` where they were asked for."""
    if command.engine == "chain" or (command.engine == "auto" and command.blocks not in ("auto", "none")):
        raise LoadFailure(not_cut)
    return replace(plan, serve=None, why=f"The whole model answers here and nobody else can use it. {not_cut}")


def _check_resume(tokens: Sequence[int], model: LoadedModel) -> None:
    """Raises `PromptFailure`: another node named them."""
    known = model.causal.get_input_embeddings().weight.shape[0]
    if any(not 0 <= token < known for token in tokens):
        raise PromptFailure(f"Token ids of an answer to resume must be from 0 to {known - 1}", param="swarm.resume")


def _failure(request: str, error: Exception) -> GenerationFailed:
    match error:
        case Cancelled():
            return GenerationFailed(request, "cancelled", "cancelled")
        case PromptFailure():
            return GenerationFailed(request, "request", str(error), error.param, error.code)
        case BlocksMissing():
            return GenerationFailed(request, "unavailable", str(error))
        case _:
            logger.error("an answer failed", exc_info=error)
            return GenerationFailed(request, "backend", f"{type(error).__name__}: {error}")
