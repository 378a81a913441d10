"""What the model does besides answering: judging texts, cutting them into tokens, embedding them, proving itself."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from swarm.domain.tokens import MOST_TOKENS, TokenPrompt
from swarm.wire.worker_commands import Aside, Detokenize, Embed, Probe, Score, Tokenize
from swarm.wire.worker_events import Detokenized, Event, GenerationFailed, Tokenized
from swarm.worker.decoder.embedding import embed
from swarm.worker.decoder.probing import probe
from swarm.worker.decoder.prompts import prompt_ids
from swarm.worker.decoder.scoring import score
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.failures import PromptFailure, failed, refuse_unknown_tokens
from swarm.worker.families.model import LoadedModel

logger = logging.getLogger(__name__)

OpenStepper = Callable[[LoadedModel, threading.Event, int], Stepper]
"""For a sequence of at most so many tokens."""


class Asides:
    """One at a time of each kind: none of it may slow down the answers, or another kind."""

    def __init__(
        self, send: Callable[[Event], None], open_stepper: OpenStepper, running: dict[str, threading.Event]
    ) -> None:
        """`running` is shared with the answers: setting an event cancels what runs under the id."""
        self._send, self._open_stepper, self._running = send, open_stepper, running
        self._threads = {
            kind: ThreadPoolExecutor(1, thread_name_prefix=kind.__name__.lower()) for kind in Aside.__args__
        }

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, model: LoadedModel | None, command: Aside) -> None:
        """Returns at once; the result, or why there is none, is sent."""
        if model is None:
            self._send(GenerationFailed(command.id, "unavailable", "No model is loaded yet"))
            return
        cancelled = self._running[command.id] = threading.Event()
        self._threads[type(command)].submit(self._run, model, command, cancelled)

    def _run(self, model: LoadedModel, command: Aside, cancelled: threading.Event) -> None:
        try:
            self._send(self._result(model, command, cancelled))
        except Exception as error:
            self._send(failed(command.id, error))
        finally:
            self._running.pop(command.id, None)

    def _result(self, model: LoadedModel, command: Aside, cancelled: threading.Event) -> Event:
        context_tokens = model.checkpoint.info.context_tokens
        open_stepper = functools.partial(self._open_stepper, model, cancelled)
        match command:
            case Score(prompt=TokenPrompt(ids)):
                refuse_unknown_tokens(model.known_tokens, {"prompt": ids})
                return score(command, model.tokenizer, context_tokens, open_stepper, cancelled)
            case Score():
                return score(command, model.tokenizer, context_tokens, open_stepper, cancelled)
            case Tokenize():
                return _tokenized(command, model)
            case Detokenize(id, ids):
                refuse_unknown_tokens(model.known_tokens, {"tokens": ids})
                return Detokenized(id, model.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
            case Embed():
                tokens = [token for given in command.inputs if isinstance(given, TokenPrompt) for token in given.ids]
                refuse_unknown_tokens(model.known_tokens, {"input": tokens})
                return embed(command, model.tokenizer, context_tokens, open_stepper, cancelled)
            case Probe(id):
                return probe(id, model.tokenizer, open_stepper)


def _tokenized(command: Tokenize, model: LoadedModel) -> Tokenized:
    tokenizer = model.tokenizer
    ids = prompt_ids(
        tokenizer,
        command.prompt,
        command.tools,
        command.template,
        add_special_tokens=command.add_special_tokens,
    )
    if len(ids) > MOST_TOKENS:
        raise PromptFailure(f"The text has {len(ids)} tokens; at most {MOST_TOKENS} are told at once", param="prompt")
    refuse_unknown_tokens(model.known_tokens, {"prompt": ids})
    tokens = tuple(str(token) for token in tokenizer.convert_ids_to_tokens(ids))
    return Tokenized(command.id, tuple(ids), tokens, model.checkpoint.info.context_tokens)
