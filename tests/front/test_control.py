"""Commands of the router, draining, and what the router hears."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from cluster.core.commands import Command, Drain, Evict, Extend, Move, Place, Restore, Spill
from cluster.core.events import (
    LeaseEnded,
    LeaseStarted,
    ReplicaDraining,
    ReplicaGone,
    ReplicaReady,
    ReplicaReport,
)
from cluster.core.ids import (
    BootId,
    Cause,
    GatewayId,
    LeaseId,
    NodeId,
    ReplicaId,
    SessionKey,
    TurnId,
)
from cluster.deployments.fake import FakeEngine, FakeSettings
from cluster.front.front import DRAINED
from cluster.wire import Ended, Failed, Started
from tests.support.fronts import QUICK, ask, serving
from tests.support.pace import Pace
from tests.support.routers import ListeningRouter

REPLICA, BOOT, CAUSE = ReplicaId("replica-1"), BootId("boot-1"), Cause("test")
SESSION, LEASE = SessionKey("t", "s"), LeaseId("l")
EVICT = Evict(REPLICA, BOOT, SESSION, CAUSE)


@pytest.mark.parametrize(
    "command",
    [
        Spill(REPLICA, BOOT, SESSION, CAUSE),
        Restore(REPLICA, BOOT, SESSION, CAUSE),
        Move(REPLICA, BOOT, SESSION, ReplicaId("other"), "http://127.0.0.1:1", CAUSE),
    ],
)
async def test_what_a_front_cannot_do_it_says(command: Command) -> None:
    async with serving(FakeEngine()) as client:
        status, words = await client.command(command)
        assert status == 501
        assert words == f"{type(command).__name__}: this front cannot export or import KV."


async def test_only_the_routers_own_commands_for_this_boot_are_obeyed() -> None:
    async with serving(FakeEngine()) as client:
        await client.turn(ask("x"))
        assert (await client.command(EVICT, secret=b"guessed"))[0] == 403
        assert (await client.command(replace(EVICT, boot=BootId("boot-0"))))[0] == 409
        assert (await client.post_control(b"nonsense"))[0] == 403
        assert (await client.post_control(b"\xff\xfe"))[0] == 403
        place = Place(
            TurnId("t"), GatewayId("g"), SESSION, LEASE, REPLICA, BOOT, NodeId("n"), "e", "", 1, CAUSE
        )
        assert (await client.command(place))[0] == 400
        assert SESSION in client.engine.idle
        assert (await client.command(EVICT))[0] == 204
        assert client.engine.idle == {}


async def test_an_extension_of_an_ended_lease_is_no_fault() -> None:
    async with serving(FakeEngine()) as client:
        assert (await client.command(Extend(REPLICA, BOOT, LEASE, 100, CAUSE)))[0] == 204


async def test_health_and_counts_tell_no_names() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(decode_tps=1), pace.sleep)) as client:
        stream = client.stream(ask("hello"), 100)
        assert isinstance(await anext(stream), Started)
        async with client.http.get(client.front.endpoint + "/leases") as response:
            assert await response.json() == {
                "num_leases": 1,
                "num_resident": 0,
                "reserved_tokens": 264,
                "resident_tokens": 0,
                "free_tokens": 8192 - 264,
            }
        async with client.http.get(client.front.endpoint + "/health") as response:
            assert response.status == 200
        await stream.aclose()


async def test_a_drain_lets_run_what_runs_and_takes_nothing_new() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(decode_tps=1), pace.sleep)) as client:
        running = client.stream(ask("hello", "a"))
        assert isinstance(await anext(running), Started)
        assert (await client.command(Drain(REPLICA, BOOT, CAUSE)))[0] == 204
        await client.router.hear(ReplicaDraining)
        (failed,) = await client.turn(ask("b", "b"))
        assert isinstance(failed, Failed)
        assert (failed.status, failed.code) == (503, "draining")
        async with client.http.get(client.front.endpoint + "/health") as response:
            assert response.status == 503
        pace.free()
        last = [frame async for frame in running][-1]
        assert isinstance(last, Ended)
        assert last.reason == "stop"
        async with asyncio.timeout(5):
            assert await client.front.lost() == DRAINED


async def test_what_outlasts_the_drain_goes_on_elsewhere() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(decode_tps=1), pace.sleep)) as client:
        running = client.stream(ask("hello"))
        assert isinstance(await anext(running), Started)
        await client.front.drain(0.01, CAUSE)
        last = [frame async for frame in running][-1]
        assert isinstance(last, Ended)
        assert last.reason == "preempted"


async def test_a_front_introduces_itself_and_reports_its_whole_ledger() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(model="m", decode_tps=1), pace.sleep)
    async with serving(engine) as client:
        ready = await client.router.hear(ReplicaReady)
        assert (ready.model, ready.endpoint) == ("m", client.front.endpoint)
        assert client.router.secrets == [client.front.secret]
        pace.let(2)
        done = ask("xy", "idle")
        await client.turn(done)
        request = ask("hello", "busy")
        stream = client.stream(request, 100)
        assert isinstance(await anext(stream), Started)
        report = await client.router.next_report()
        assert [(lease.turn, lease.reserved_tokens) for lease in report.leases] == [(request.turn, 264)]
        assert [(idle.session.session, idle.tokens) for idle in report.resident] == [("idle", 7)]
        await client.router.next_report()
        ended = [lease for report in client.router.told(ReplicaReport) for lease in report.ended]
        assert ended == [client.ticket(done).lease]
        await stream.aclose()


async def test_a_new_router_is_told_what_runs() -> None:
    pace = Pace()
    async with serving(FakeEngine(FakeSettings(decode_tps=1), pace.sleep)) as client:
        pace.let(1)
        await client.turn(ask("x", "idle"))
        request = ask("hello", "busy")
        stream = client.stream(request)
        assert isinstance(await anext(stream), Started)
        client.router.epoch = 2
        ready = await client.router.hear(ReplicaReady, num=2)
        assert [lease.turn for lease in ready.leases] == [request.turn]
        assert [idle.session.session for idle in ready.resident] == ["idle"]
        pace.free()
        assert isinstance([frame async for frame in stream][-1], Ended)


async def test_what_happened_while_no_router_was_there_is_told_to_the_next() -> None:
    async with serving(FakeEngine()) as client:
        await client.router.next_report()
        client.router.is_away = True
        for number in range(3):
            assert isinstance((await client.turn(ask("x", f"s{number}")))[-1], Ended)
        client.router.epoch, client.router.is_away = 2, False
        await client.router.hear(LeaseEnded, num=3)
        told = [type(event) for event in client.router.events if isinstance(event, LeaseStarted | LeaseEnded)]
        assert told == [LeaseStarted, LeaseEnded] * 3
        await client.router.hear(ReplicaReady, num=2)


async def test_an_engine_that_dies_breaks_off_every_stream() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(decode_tps=1), pace.sleep)
    async with serving(engine) as client:
        streams = [client.stream(ask("hello", session)) for session in "ab"]
        for stream in streams:
            assert isinstance(await anext(stream), Started)
        engine.die("out of memory")
        for stream in streams:
            with pytest.raises(aiohttp.ClientPayloadError):
                _ = [frame async for frame in stream]
        assert await client.front.lost() == "out of memory"
        (failed,) = await client.turn(ask("late"))
        assert isinstance(failed, Failed)
        assert failed.code == "draining"
        await client.front.close("out of memory", CAUSE)
        assert (await client.router.hear(ReplicaGone)).reason == "out of memory"


async def test_an_engine_that_hangs_is_taken_for_dead() -> None:
    engine = FakeEngine(FakeSettings(hang_after_tokens=2))
    async with serving(engine, replace(QUICK, stall_s=0.1)) as client:
        stream = client.stream(ask("hello"))
        with pytest.raises(aiohttp.ClientPayloadError):
            _ = [frame async for frame in stream]
        assert await client.front.lost() == "the engine said nothing for 0.1 s"


async def test_a_lost_engine_that_does_not_let_go_keeps_no_client_waiting() -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(hang_after_tokens=2, free_s=1), pace.sleep)
    async with serving(engine, replace(QUICK, stall_s=0.1)) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            _ = [frame async for frame in client.stream(ask("hello"))]
        assert len(engine.running) == 1
        pace.free()


async def test_a_client_that_does_not_read_is_let_go() -> None:
    engine = FakeEngine(FakeSettings(answer="x" * 5000))
    async with serving(engine, replace(QUICK, pending_bytes=4096)) as client:
        request = ask("hello")
        turn = client.front.begin(client.ticket(request, 6000), request)
        await client.router.hear(LeaseEnded)
        assert turn.pipe.is_broken
        assert engine.used_tokens < 1000
        assert client.front.counters.num_clients_gone == 1


async def test_an_older_router_that_still_answers_is_not_believed() -> None:
    async with serving(FakeEngine(), router=ListeningRouter(epoch=3)) as client:
        await client.router.hear(ReplicaReady)
        client.router.epoch = 1
        request = ask("hello")
        await client.turn(request, ticket=client.sign(client.ticket(request, epoch=3)))
        await client.router.hear(LeaseEnded)
        client.router.epoch = 3
        # Said again, to the one whose word counts.
        await client.router.hear(LeaseEnded, num=2)
