"""One turn from replica to replica until its answer is whole."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from cluster.core.errors import ContextLengthExceeded, ReplicaLost
from cluster.gateway.answer import Answer
from cluster.gateway.fronts import FrontLost, Fronts
from cluster.gateway.pieces import Piece, Placed
from cluster.gateway.relay import NOT_BOOKED, error_of, is_clients_fault
from cluster.gateway.waiting import Grant, Waiting
from cluster.metrics import GatewayCounters
from cluster.wire import Delta, Ended, Failed, Frame, Progress, Started, Tokens, encode_request

Sink = Callable[[Piece], Awaitable[None]]


class Journey:
    """`sink` takes the pieces; it may make us wait, and so the engine."""

    def __init__(
        self, answer: Answer, waiting: Waiting, fronts: Fronts, counters: GatewayCounters, sink: Sink
    ) -> None:
        self._answer, self._waiting, self._fronts = answer, waiting, fronts
        self._counters, self._sink = counters, sink
        self._model = answer.request.model
        self._has_started, self._engine = False, ""
        self._is_too_long = False

    async def run(self) -> None:
        """Returns when the client has its whole answer.  Raises HearthError."""
        in_time = asyncio.create_task(self._waiting.commit_in_time(self._sink))
        try:
            while not self._waiting.is_over:
                grant = await self._waiting.place(self._sink)
                await self._stream(grant)
        finally:
            in_time.cancel()

    async def _stream(self, grant: Grant) -> None:
        """One stream, to its end or its loss."""
        body = encode_request(self._answer.next_request())
        frames = self._fronts.turn(grant.place.endpoint, grant.ticket, body)
        is_settled = False
        try:
            async with aclosing(frames):
                async for frame in frames:
                    is_settled = is_settled or await self._take(grant, frame)
                    if self._answer.is_over:
                        return
        except FrontLost:
            pass
        if not is_settled:
            await self._lost(grant, preempted=False)

    async def _take(self, grant: Grant, frame: Frame) -> bool:
        """Whether this frame settles what becomes of the stream."""
        match frame:
            case Started():
                await self._started(grant, frame)
            case Progress():
                self._answer.progress(frame)
            case Tokens() | Delta():
                await self._say(frame)
            case Ended(reason="preempted"):
                await self._lost(grant, preempted=True)
            case Ended():
                await self._finish(frame)
            case Failed():
                await self._failed(grant, frame)
        return isinstance(frame, Ended | Failed)

    async def _started(self, grant: Grant, frame: Started) -> None:
        if not self._has_started:
            self._counters.queue_wait(self._waiting.waited_s(), self._model)
            if self._waiting.has_waited_for_load:
                self._counters.load_wait(self._waiting.waited_s(), self._model)
        self._has_started, self._engine = True, grant.place.engine
        self._answer.started(frame)
        await self._sink(Placed(grant.place.node, grant.place.engine, frame.locality))

    async def _say(self, frame: Tokens | Delta) -> None:
        if not self._answer.has_begun:
            self._waiting.first_token()
            self._counters.ttft(self._waiting.waited_s(), self._model)
        said = self._answer.take(frame)
        self._counters.streamed(len(frame.ids) if isinstance(frame, Tokens) else 1, self._model)
        for piece in said:
            await self._sink(piece)
        if self._answer.is_over:
            await self._finish(None)

    async def _finish(self, ended: Ended | None) -> None:
        said, finished = self._answer.finish(ended)
        self._waiting.finished(finished.usage)
        self._counters.turn(self._waiting.waited_s(), self._model)
        used = finished.usage
        self._counters.used(self._engine, used.prompt_tokens, used.cached_tokens, used.completion_tokens)
        for piece in said:
            await self._sink(piece)
        await self._sink(finished)

    async def _failed(self, grant: Grant, failed: Failed) -> None:
        if failed.code in NOT_BOOKED or self._may_fit_elsewhere(failed):
            self._waiting.refused(grant, failed.code, failed.prompt_tokens)
        elif is_clients_fault(failed):
            raise error_of(failed)
        else:
            await self._lost(grant, preempted=False)

    def _may_fit_elsewhere(self, failed: Failed) -> bool:
        """Whether the prompt, whose exact size only this replica has found, may fit a larger one: the router
        is asked once, and refuses the turn itself where none is."""
        if failed.code != ContextLengthExceeded.code or failed.prompt_tokens is None:
            return False
        is_new, self._is_too_long = not self._is_too_long and not self._answer.has_begun, True
        return is_new

    async def _lost(self, grant: Grant, preempted: bool) -> None:
        """Goes on elsewhere, where that is possible."""
        self._counters.lost(grant.place.engine, preempted)
        can_go_on = self._answer.can_go_on
        prompt_tokens, generated = self._answer.lost()
        if self._answer.is_at_limit:
            await self._finish(None)
        elif can_go_on:
            self._waiting.lost(grant, prompt_tokens, generated, preempted)
            if generated:
                self._counters.continued()
        else:
            self._waiting.gave_up(grant)
            raise ReplicaLost("the answer had begun and cannot be continued from its text.")
