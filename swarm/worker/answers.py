"""Runs answers side by side, each in a thread of its own, and sends their pieces."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from swarm.domain.tokens import TokenPrompt
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Event, GenerationFailed
from swarm.worker.asides import OpenStepper
from swarm.worker.compute.turn import Turn
from swarm.worker.decoder.forms import Forms
from swarm.worker.decoder.generate import generate
from swarm.worker.failures import failed, refuse_unknown_tokens
from swarm.worker.families.model import LoadedModel


class Answers:
    """Takes none before `open`."""

    def __init__(
        self,
        send: Callable[[Event], None],
        open_stepper: OpenStepper,
        running: dict[str, threading.Event],
        turn: Turn,
    ) -> None:
        """`running` is shared with the asides: setting an event cancels what runs under the id."""
        self._send, self._open_stepper, self._running, self._turn = send, open_stepper, running, turn
        self._threads: ThreadPoolExecutor | None = None

    def open(self, slots: int) -> None:
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="answer")

    def close(self) -> None:
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, model: LoadedModel | None, forms: Forms | None, command: Generate) -> None:
        """Returns at once; the pieces, or why there are none, are sent."""
        if model is None or forms is None or self._threads is None:
            self._send(GenerationFailed(command.id, "unavailable", "No model is loaded yet"))
            return
        cancelled = self._running[command.id] = threading.Event()
        self._threads.submit(self._run, model, forms, command, cancelled)

    def _run(self, model: LoadedModel, forms: Forms, command: Generate, cancelled: threading.Event) -> None:
        try:
            _refuse_unknown(model, command)
            pieces = generate(
                command,
                model.tokenizer,
                model.end_tokens,
                forms,
                model.checkpoint.info.context_tokens,
                functools.partial(self._open_stepper, model, cancelled),
                cancelled,
                self._turn,
            )
            with contextlib.closing(pieces):
                for piece in pieces:
                    self._send(piece)
        except Exception as error:
            self._send(failed(command.id, error))
        finally:
            self._running.pop(command.id, None)


def _refuse_unknown(model: LoadedModel, command: Generate) -> None:
    """Raises `PromptFailure` for ids that the model has not."""
    prompt, sampling = command.prompt, command.sampling
    refuse_unknown_tokens(
        model.known_tokens,
        {
            "swarm.resume": command.resume,
            "prompt": prompt.ids if isinstance(prompt, TokenPrompt) else (),
            "logit_bias": (token for token, _ in sampling.logit_bias),
            "stop_token_ids": sampling.stop_token_ids,
        },
    )
