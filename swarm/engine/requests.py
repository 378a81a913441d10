"""What is asked of the worker and not answered yet: a number for each, and whom its replies go to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable

from swarm.domain.errors import BackendError, RequestError, Unavailable
from swarm.domain.generation import GenerationRequest
from swarm.wire.worker_commands import Aside, Cancel, Command, Generate
from swarm.wire.worker_events import AsideReply, Generated, GenerationFailed

Send = Callable[[Command], None]
Reply = Generated | AsideReply | GenerationFailed


class Requests:
    """Outlives the worker: what one that died held is failed, and numbers are never used again."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Queue[Generated | GenerationFailed]] = {}
        self._asked: dict[str, asyncio.Future[AsideReply | GenerationFailed]] = {}

    async def stream(self, send: Send, request: GenerationRequest) -> AsyncGenerator[Generated, None]:
        """The pieces of an answer; the last has a finish reason. Closing it early cancels the answer.

        Raises the error of a failed one."""
        number = str(next(self._numbers))
        answers = self._answers[number] = asyncio.Queue()
        send(_command(number, request))
        finished = False
        try:
            while not finished:
                answer = await answers.get()
                finished = isinstance(answer, GenerationFailed) or answer.finish_reason is not None
                if isinstance(answer, GenerationFailed):
                    raise _error(answer)
                yield answer
        finally:
            del self._answers[number]
            if not finished:
                send(Cancel(number))

    async def ask(self, send: Send, command: Callable[[str], Aside]) -> AsideReply:
        """One question with one reply. A cancel cancels it there, too."""
        number = str(next(self._numbers))
        replied: asyncio.Future[AsideReply | GenerationFailed] = asyncio.get_running_loop().create_future()
        self._asked[number] = replied
        send(command(number))
        try:
            reply = await replied
        finally:
            del self._asked[number]
            if not replied.done() or replied.cancelled():
                send(Cancel(number))
        if isinstance(reply, GenerationFailed):
            raise _error(reply)
        return reply

    def deliver(self, reply: Reply) -> None:
        """What nobody waits for any more is dropped."""
        asked = self._asked.get(reply.id)
        if not isinstance(reply, Generated) and asked is not None and not asked.done():
            asked.set_result(reply)
        elif isinstance(reply, Generated | GenerationFailed) and (answers := self._answers.get(reply.id)):
            answers.put_nowait(reply)

    def fail_all(self) -> None:
        """The worker that held them is gone."""
        for number in (*self._answers, *self._asked):
            self.deliver(GenerationFailed(number, "backend", "The model worker died while it held the request"))


def _command(number: str, request: GenerationRequest) -> Generate:
    return Generate(
        number,
        request.prompt,
        request.sampling,
        request.resume.tokens if request.resume else (),
        request.response_format,
        request.tools,
        request.tool_choice,
        request.parallel_tool_calls,
        request.echo,
        request.template,
    )


def _error(failed: GenerationFailed) -> Exception:
    match failed.kind:
        case "request":
            return RequestError(failed.message, param=failed.param, code=failed.code)
        case "unavailable":
            return Unavailable(failed.message)
        case "backend" | "cancelled":
            return BackendError(failed.message)
