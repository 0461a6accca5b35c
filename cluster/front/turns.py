"""One turn at this replica, from its ticket to its last frame.

    prepare -> book -> Started -> frames of the engine, the lease growing with them
            -> the engine's sequence is free -> the lease ends -> last frame

The turn is a task of its own: a client that goes away stops it, and it still ends in this order.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Literal

from cluster.core.errors import ContextLengthExceeded, HearthError
from cluster.core.events import ExtensionAsked, LeaseEnded, LeaseStarted
from cluster.core.ids import Cause
from cluster.core.ledger import Reservation
from cluster.deployments.engine import EngineFault, EngineLost, Prompt
from cluster.front import failures
from cluster.front.book import NoRoom
from cluster.front.context import FrontContext
from cluster.front.pipe import Pipe
from cluster.ticket import Ticket
from cluster.wire import Delta, Ended, Failed, Frame, Progress, Started, Tokens, TurnRequest

Why = Literal["gone", "preempted", "lost"]
log = logging.getLogger(__name__)


class Turn:
    """`pipe` is where its frames come out."""

    def __init__(self, context: FrontContext, ticket: Ticket, request: TurnRequest) -> None:
        self.pipe = Pipe(context.limits.pending_bytes, context.pace_s)
        self.ticket = ticket
        self.silent_since = context.now()
        self._context, self._request = context, request
        self._cause = Cause(ticket.turn)
        self._why: Why | None = None
        self._pump: asyncio.Task[None] | None = None
        self._last: Ended | Failed | None = None
        self._generated = self._cached = self._processed = self._asked = 0

    def stop(self, why: Why) -> None:
        """Cancels at the engine.  The turn ends once its sequence is free; the first reason stays."""
        if self._why is not None:
            return
        self._why = why
        if why == "lost":
            self.pipe.break_off()  # nobody knows when a lost engine lets go of it
        if self._pump is not None:
            self.silent_since = self._context.now()
            self._pump.cancel()

    def is_stalled(self, now: float) -> bool:
        """The engine is at work on it and has said nothing for too long."""
        is_at_work = self._pump is not None and not self._pump.done()
        return is_at_work and now - self.silent_since > self._context.limits.stall_s

    async def run(self) -> None:
        try:
            last = await self._answer()
        except EngineLost:
            last = None
        except Exception as fault:  # whatever an engine's adapter lets through ends this turn alone
            log.exception("turn %s failed", self.ticket.turn)
            last = failures.engine_failed(type(fault).__name__)
        self._finish(last)

    def _finish(self, last: Ended | Failed | None) -> None:
        self._count(last)
        if last is None:
            self.pipe.break_off()
        elif self.pipe.send(last):
            self.pipe.finish()

    async def _answer(self) -> Ended | Failed | None:
        """None: the stream was lost, or nobody listens any more."""
        booked = await self._booked()
        if isinstance(booked, Prompt):
            return await self._leased(booked)
        self._say_ended(0)  # nothing was booked: what was granted is free again
        return booked

    async def _booked(self) -> Prompt | Ended | Failed | None:
        """The prompt, if the ledger has its lease now; else the answer."""
        prompt = None
        try:
            async with asyncio.timeout(self._context.limits.prepare_s):
                prompt = self._context.prepared.take(self._request)
                prompt = prompt or await self._context.engine.prepare(self._request)
            reserved = self._size(prompt)
            if self._why is not None:
                return self._stopped(prompt)
            await self._context.book.open(self._reservation(reserved))
        except HearthError as error:
            return self._worded(failures.from_error(error), prompt)
        except NoRoom:
            return failures.no_room(prompt.tokens if prompt else None)
        except (EngineFault, TimeoutError) as fault:
            return failures.engine_failed(str(fault) or "no answer in time.")
        return prompt

    def _size(self, prompt: Prompt) -> int:
        """Tokens to reserve: as granted, but at least one step of output and never more than it can use.

        Raises ContextLengthExceeded.
        """
        granted = self.ticket.reserved_tokens
        if prompt.tokens is None:
            return granted
        window, wanted = self._context.facts.capacity.window_tokens, self._request.max_tokens
        if prompt.tokens + (wanted or 1) > window:
            raise ContextLengthExceeded(window, prompt.tokens, wanted or 1)
        step = self._context.limits.step_tokens
        least = prompt.tokens + min(wanted or step, step)
        return min(max(granted, least), self._most(prompt))

    def _most(self, prompt: Prompt) -> int:
        """What the turn can come to use."""
        window = self._context.facts.capacity.window_tokens
        if prompt.tokens is None:
            return self.ticket.reserved_tokens
        return min(prompt.tokens + (self._request.max_tokens or window), window)

    def _reservation(self, reserved_tokens: int) -> Reservation:
        ticket = self.ticket
        return Reservation(ticket.lease, ticket.turn, ticket.session, reserved_tokens)

    async def _leased(self, prompt: Prompt) -> Ended | Failed | None:
        identity, facts = self._context.identity, self._context.facts
        reserved = self._context.book.reserved(self.ticket.lease)
        self._context.counters.num_turns_started += 1
        self._context.say(
            LeaseStarted(
                identity.replica,
                identity.boot,
                self.ticket.lease,
                prompt.tokens or 0,
                reserved,
                self._cause,
            )
        )
        ids = prompt.ids or ()
        self._send(Started(prompt.tokens, ids, bool(ids), facts.formats, facts.locality))
        try:
            await self._generate(prompt)
        finally:
            await self._end_lease(prompt)
        return self._worded(self._last, prompt) if self._last else self._stopped(prompt)

    async def _generate(self, prompt: Prompt) -> None:
        """Returns when the engine's sequence is free.  Raises what the engine raised."""
        if self._why is not None:
            return
        self.silent_since = self._context.now()
        frames = self._context.engine.generate(self._request, prompt)
        self._pump = asyncio.create_task(self._read(frames, prompt))
        await asyncio.wait({self._pump})
        if not self._pump.cancelled():
            self._pump.result()

    async def _read(self, frames: AsyncGenerator[Frame], prompt: Prompt) -> None:
        async with contextlib.aclosing(frames):
            async for frame in frames:
                self.silent_since = self._context.now()
                match frame:
                    case Ended() | Failed():
                        self._last = frame
                        return
                    case Progress():
                        self._cached, self._processed = frame.cached, frame.processed
                    case Tokens():
                        self._generated += len(frame.ids)
                    case Delta():
                        self._generated += 1
                    case Started():
                        continue
                self._send(frame)
                if self._why is not None or not await self._has_room(prompt):
                    self._why = self._why or "preempted"
                    return

    def _send(self, frame: Frame) -> None:
        if not self.pipe.send(frame):
            self._why = self._why or "gone"

    async def _has_room(self, prompt: Prompt) -> bool:
        """Asks for more in time; takes it from the own ledger where nobody answered in time."""
        limits, book, lease = self._context.limits, self._context.book, self.ticket.lease
        reserved, most = book.reserved(lease), self._most(prompt)
        left = reserved - (prompt.tokens or 0) - self._generated
        if reserved >= most or left >= limits.step_tokens // 2:
            return True
        wanted = min(reserved + limits.step_tokens, most)
        if self._asked < wanted:
            self._ask(wanted)
        if left > limits.leeway_tokens:
            return True
        if await book.grow(lease, min(wanted, reserved + max(book.spare_tokens, 1))):
            self._context.counters.num_own_extensions += 1
            return True
        # An upstream's memory is a guess: it may go on where a real one must not.
        return left > 0 or self._context.facts.capacity.estimated

    def _ask(self, wanted: int) -> None:
        self._asked = wanted
        self._context.counters.num_extensions_asked += 1
        identity = self._context.identity
        self._context.say(
            ExtensionAsked(identity.replica, identity.boot, self.ticket.lease, wanted, self._cause)
        )

    async def _end_lease(self, prompt: Prompt) -> None:
        self._say_ended(await self._context.book.close(self.ticket.lease, self._resident_tokens(prompt)))

    def _say_ended(self, resident_tokens: int) -> None:
        identity = self._context.identity
        self._context.say(
            LeaseEnded(identity.replica, identity.boot, self.ticket.lease, resident_tokens, self._cause)
        )

    def _resident_tokens(self, prompt: Prompt) -> int:
        match self._last:
            case Ended(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens):
                return prompt_tokens + completion_tokens
            case Failed():
                return 0
            case None:
                done = (prompt.tokens or 0) if self._generated else self._processed
                return 0 if self._why is None or self._why == "lost" else done + self._generated

    def _worded(self, last: Ended | Failed, prompt: Prompt | None) -> Ended | Failed:
        if isinstance(last, Ended):
            return last
        known = (prompt.tokens if prompt else None) or self.ticket.reserved_tokens
        window = self._context.facts.capacity.window_tokens
        return failures.in_contract_words(last, window, known, self._request.max_tokens or 1)

    def _stopped(self, prompt: Prompt) -> Ended | None:
        if self._why != "preempted":
            return None
        return Ended("preempted", prompt.tokens or 0, self._cached, self._generated)

    def _count(self, last: Ended | Failed | None) -> None:
        counters = self._context.counters
        match last:
            case Ended():
                counters.num_turns_ended += 1
                counters.num_preempted += last.reason == "preempted"
                counters.prompt_tokens += last.prompt_tokens
                counters.cached_tokens += last.cached_tokens
                counters.completion_tokens += last.completion_tokens
            case Failed(code="no_room"):
                counters.num_no_room += 1
            case Failed():
                counters.num_turns_failed += 1
            case None:
                counters.num_clients_gone += self._why == "gone"
                counters.num_streams_lost += self._why != "gone"
