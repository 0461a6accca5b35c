"""Who may use how much KV memory."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from cluster.core.commands import Evict, Extend, Preempt
from cluster.core.events import ExtensionAsked, LeaseEnded, LeaseStarted
from cluster.core.ids import BootId, Cause, ReplicaId, SessionKey
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.wire import Ended, Failed, Frame, Started, Tokens
from tests.support.fronts import QUICK, ask, serving
from tests.support.pace import Pace

SMALL_STEPS = replace(QUICK, step_tokens=16, leeway_tokens=0)
REPLICA, BOOT, CAUSE = ReplicaId("replica-1"), BootId("boot-1"), Cause("test")


async def test_a_grant_for_a_wrong_guess_is_corrected_where_there_is_room() -> None:
    async with serving(FakeEngine(FakeSettings(kv_tokens=1000))) as client:
        frames = await client.turn(ask("x" * 400, max_tokens=100), reserved_tokens=50)
        assert isinstance(frames[-1], Ended)
        started = await client.router.hear(LeaseStarted)
        assert (started.prompt_tokens, started.reserved_tokens) == (403, 503)


async def test_no_room_says_the_exact_size_and_starts_nothing() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(kv_tokens=600, decode_tps=1), pace.sleep)) as client:
        first = client.stream(ask("a", "a"), 300)
        assert isinstance(await anext(first), Started)
        (failed,) = await client.turn(ask("x" * 397, "b"), 300)
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code, failed.prompt_tokens) == (503, "no_room", 400)
        assert len(client.router.told(LeaseStarted)) <= 1
        pace.free()
        assert isinstance([frame async for frame in first][-1], Ended)


async def test_a_slot_is_needed_too() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(num_slots=1, decode_tps=1), pace.sleep)) as client:
        first = client.stream(ask("a", "a"))
        assert isinstance(await anext(first), Started)
        (failed,) = await client.turn(ask("b", "b"))
        assert isinstance(failed, Failed)
        assert failed.code == "no_room"
        pace.free()
        assert isinstance([frame async for frame in first][-1], Ended)


async def test_the_longest_idle_session_makes_room_first() -> None:
    async with serving(FakeEngine(FakeSettings(kv_tokens=300, window_tokens=300))) as client:
        for session in "ab":
            await client.turn(ask("x" * 40, session, max_tokens=40), 100)
        await client.turn(ask("x" * 97, "c", max_tokens=80), 180)
        assert set(client.engine.idle) == {SessionKey("t", "b"), SessionKey("t", "c")}
        assert client.front.counters.num_evictions == 1


async def test_a_rewritten_history_does_not_hold_more_than_was_reserved() -> None:
    async with serving(FakeEngine(FakeSettings(kv_tokens=400, window_tokens=400))) as client:
        await client.turn(ask("x" * 150, "a", max_tokens=150), 303)
        frames = await client.turn(ask("y" * 10, "a", max_tokens=10), 23)
        assert isinstance(frames[-1], Ended)
        assert client.engine.used_tokens <= client.front.book.ledger.resident_tokens == 23


async def test_the_router_extends_a_lease_before_it_runs_out() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="x" * 60, decode_tps=1), pace.sleep)
    async with serving(engine, SMALL_STEPS) as client:
        stream = client.stream(ask("abc"), reserved_tokens=22)
        pace.let(9)
        await until_generated(stream, 9)
        asked = await client.router.hear(ExtensionAsked)
        assert asked.reserved_tokens == 38
        await client.command(Extend(REPLICA, BOOT, asked.lease, 100, CAUSE))
        assert (await client.router.next_report()).leases[0].reserved_tokens == 100
        pace.free()
        last = [frame async for frame in stream][-1]
        assert isinstance(last, Ended)
        assert last.completion_tokens == 60
        assert client.front.counters.num_own_extensions == 0


async def test_a_front_helps_itself_while_no_router_answers() -> None:
    engine = FakeEngine(FakeSettings(answer="x" * 200, kv_tokens=300, window_tokens=300))
    async with serving(engine, SMALL_STEPS) as client:
        await client.turn(ask("x" * 60, "idle"), 100)
        client.router.is_away = True
        frames = await client.turn(ask("abc"), reserved_tokens=22)
        assert isinstance(frames[-1], Ended)
        assert (frames[-1].reason, frames[-1].completion_tokens) == ("stop", 200)
        assert SessionKey("t", "idle") not in client.engine.idle
        client.router.is_away = False
        # What it wanted to say meanwhile arrives later, in order.
        ended = await client.router.hear(LeaseEnded, lambda event: event.resident_tokens == 206)
        kinds = [type(event) for event in client.router.events if getattr(event, "lease", "") == ended.lease]
        assert (kinds[0], kinds[-1]) == (LeaseStarted, LeaseEnded)
        assert ExtensionAsked in kinds


async def test_an_answer_that_finds_no_room_at_all_goes_on_elsewhere() -> None:
    pace = Pace()
    told = FakeSettings(answer="x" * 200, kv_tokens=100, window_tokens=100, decode_tps=1)
    async with serving(FakeEngine(told, pace.sleep), SMALL_STEPS) as client:
        first = client.stream(ask("abc", "a"), 50)
        second = client.stream(ask("abc", "b"), 50)
        assert isinstance(await anext(first), Started)
        assert isinstance(await anext(second), Started)
        pace.free()
        frames = [frame async for frame in first]
        assert frames[-1] == Ended("preempted", 6, 0, 44)
        assert sum(len(frame.ids) for frame in frames if isinstance(frame, Tokens)) == 44
        await second.aclose()
        await client.router.hear(LeaseEnded, num=2)


async def test_the_routers_preempt_ends_an_answer() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(decode_tps=1), pace.sleep)) as client:
        request = ask("a long answer")
        stream = client.stream(request)
        pace.let(3)
        await until_generated(stream, 3)
        lease = client.ticket(request).lease
        assert (await client.command(Preempt(REPLICA, BOOT, lease, CAUSE)))[0] == 204
        assert [frame async for frame in stream] == [Ended("preempted", 16, 0, 3)]
        assert client.engine.running == []


async def test_the_routers_evict_reaches_the_engine_and_spares_what_runs() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(decode_tps=1), pace.sleep)
    async with serving(engine) as client:
        pace.let(1)
        await client.turn(ask("x", "idle"))
        running = client.stream(ask("y", "running"))
        assert isinstance(await anext(running), Started)
        for session in ("idle", "running", "unknown"):
            key = SessionKey("t", session)
            assert (await client.command(Evict(REPLICA, BOOT, key, CAUSE)))[0] == 204
        assert engine.idle == {}
        assert (await client.router.next_report()).resident == ()
        pace.free()
        assert isinstance([frame async for frame in running][-1], Ended)


class SlowToForget(FakeEngine):
    """An eviction takes until `forgetting` is told."""

    def __init__(self, settings: FakeSettings) -> None:
        super().__init__(settings)
        self.forgetting, self.is_forgetting = Pace(), asyncio.Event()

    async def evict(self, session: SessionKey) -> None:
        if session in self.idle:
            self.is_forgetting.set()
            await self.forgetting.sleep(1)
        await super().evict(session)


async def test_a_turn_stopped_while_it_grows_leaves_no_eviction_half_done() -> None:
    engine = SlowToForget(FakeSettings(answer="x" * 200, kv_tokens=100, window_tokens=100))
    async with serving(engine, SMALL_STEPS) as client:
        await client.turn(ask("x" * 20, "idle", max_tokens=40), 63)
        request = ask("abc")
        stream = client.stream(request, 30)
        await until_generated(stream, 20)
        await engine.is_forgetting.wait()
        await client.command(Preempt(REPLICA, BOOT, client.ticket(request).lease, CAUSE))
        engine.forgetting.free()
        assert isinstance([frame async for frame in stream][-1], Ended)
        assert engine.used_tokens <= client.front.book.ledger.resident_tokens


async def test_an_evict_goes_on_when_the_router_waits_no_longer() -> None:
    engine = SlowToForget(FakeSettings())
    async with serving(engine) as client:
        await client.turn(ask("x", "idle"))
        book = client.front.book
        evicting = asyncio.create_task(book.evict(SessionKey("t", "idle")))
        await engine.is_forgetting.wait()
        evicting.cancel()
        await asyncio.wait({evicting})
        engine.forgetting.free()
        assert isinstance((await client.turn(ask("y", "next")))[-1], Ended)
        assert engine.used_tokens == book.ledger.resident_tokens


async def test_many_turns_at_once_never_over_commit_the_engine() -> None:
    engine = FakeEngine(FakeSettings(kv_tokens=400, window_tokens=400, num_slots=3))
    async with serving(engine, SMALL_STEPS) as client:

        async def persist(number: int) -> Ended:
            """Presents its turn until it is let in, and goes on where it was preempted."""
            while True:
                frames = await client.turn(ask("x" * (20 + number), f"s{number % 7}"), 60)
                if isinstance(frames[-1], Ended) and frames[-1].reason == "stop":
                    return frames[-1]

        async with asyncio.timeout(20):
            ends = await asyncio.gather(*(persist(number) for number in range(40)))
        assert [end.completion_tokens for end in ends] == [20 + number for number in range(40)]
        # `serving` checks the ledger, and that the engine was never over capacity.


async def until_generated(stream: AsyncGenerator[Frame], num: int) -> None:
    while num > 0:
        frame = await anext(stream)
        num -= len(frame.ids) if isinstance(frame, Tokens) else 0
