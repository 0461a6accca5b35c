"""The shell around the machine: who hears what, in which order, with which ticket, and who is forgotten."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from cluster import codec
from cluster.core.commands import Commit, Drain, Evict, Measure, Place, Queue
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentWithdrawn,
    DrainAsked,
    LeaseEnded,
    LeaseStarted,
    ReplicaGone,
    ReplicaReady,
    TurnArrived,
)
from cluster.core.facts import Capacity, Feature, Locality, ResidentView, Speed
from cluster.core.ids import (
    BootId,
    Cause,
    DeploymentId,
    GatewayId,
    NodeId,
    ReplicaId,
    SessionKey,
    TurnId,
)
from cluster.core.machine import RouterMachine
from cluster.core.view import LoadingStatus
from cluster.outbox import Outbox
from cluster.ports import Delivery
from cluster.router import Router
from cluster.ticket import unseal, verify

CAUSE = Cause("test")
SECRET = b"secret of the first boot"
GATEWAY = GatewayId("gateway-1")
CHAT = frozenset({Feature.CHAT, Feature.MEASURE})


@dataclass
class GatewayEnd:
    """A GatewayPort that notes what it is told.  `hangs`: it takes nothing in."""

    hangs: bool = False
    epochs: list[int] = field(default_factory=list)
    told: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)

    async def deliver(self, epoch: int, deliveries: Sequence[Delivery]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        self.epochs.append(epoch)
        for delivery in deliveries:
            self.told.put_nowait(delivery)

    async def next(self) -> Delivery:
        async with asyncio.timeout(5):
            return await self.told.get()


@dataclass
class FrontEnd:
    """The control side of a front.  `refuses`: the names of commands that it answers with 502."""

    endpoint: str = ""
    refuses: set[str] = field(default_factory=set)
    told: asyncio.Queue[object] = field(default_factory=asyncio.Queue)

    async def control(self, request: web.Request) -> web.Response:
        command = codec.decode(unseal(SECRET, (await request.read()).decode()))
        self.told.put_nowait(command)
        is_refused = type(command).__name__ in self.refuses
        return web.Response(status=502 if is_refused else 204)

    async def next(self) -> object:
        async with asyncio.timeout(5):
            return await self.told.get()


@asynccontextmanager
async def front_end() -> AsyncGenerator[FrontEnd]:
    front, app = FrontEnd(), web.Application()
    app.router.add_post("/control", front.control)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    front.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield front
    await runner.cleanup()


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(clock: Clock | None = None) -> AsyncGenerator[Router]:
    machine = RouterMachine(7)
    async with Router(machine, 7, now=clock or Clock()) as router:
        await router.post([DeploymentDeclared(DeploymentId("d"), "m", Locality.LOCAL, CAUSE)])
        yield router
    machine.check()


def ready(endpoint: str = "http://127.0.0.1:9", boot: str = "b1", **more: object) -> ReplicaReady:
    event = ReplicaReady(
        ReplicaId("r"),
        BootId(boot),
        DeploymentId("d"),
        NodeId("n"),
        "m",
        "hash",
        "fake",
        Locality.LOCAL,
        endpoint,
        Capacity(1000, 2, 1000),
        Speed(1000.0, 100.0),
        CHAT,
        CAUSE,
    )
    return replace(event, **more)


def arrival(name: str, prompt_tokens: int | None = 10, max_tokens: int = 10) -> TurnArrived:
    session = SessionKey("t", name)
    return TurnArrived(TurnId(name), GATEWAY, session, "m", 30, CAUSE, prompt_tokens, max_tokens=max_tokens)


async def eventually(look: Callable[[], Awaitable[object]]) -> None:
    """Asks until the answer is true."""
    async with asyncio.timeout(5):
        while not await look():  # noqa: ASYNC110 - what others do tells nobody
            await asyncio.sleep(0.02)


def _that(look: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        return look()

    return ask


async def _lacks(router: Router, part: str) -> bool:
    return not getattr(await router.view(), part)


async def test_a_place_comes_with_a_ticket_that_the_front_accepts() -> None:
    gateway = GatewayEnd()
    async with running() as router:
        assert await router.attach(GATEWAY, gateway) == 7
        await router.ready(ready(), SECRET)
        await router.post([arrival("a")])
        delivery = await gateway.next()
        assert isinstance(delivery.command, Place)
        ticket = verify(SECRET, delivery.ticket)
        assert (ticket.lease, ticket.turn) == (delivery.command.lease, "a")
        assert (ticket.boot, ticket.epoch) == ("b1", 7)
        assert ticket.reserved_tokens == delivery.command.reserved_tokens == 20
        assert gateway.epochs == [7]


async def test_the_ticket_to_measure_books_nothing() -> None:
    gateway = GatewayEnd()
    async with running() as router:
        await router.attach(GATEWAY, gateway)
        await router.ready(ready(), SECRET)
        await router.post([replace(arrival("a", None), prompt_bytes=5000)])
        delivery = await gateway.next()
        assert isinstance(delivery.command, Measure)
        ticket = verify(SECRET, delivery.ticket)
        assert (ticket.lease, ticket.reserved_tokens) == ("", 0)


async def test_a_gateway_hears_everything_in_order() -> None:
    gateway, names = GatewayEnd(), [f"turn-{number}" for number in range(40)]
    async with running() as router:
        await router.attach(GATEWAY, gateway)
        await router.ready(ready(capacity=Capacity(10_000, 64, 1000)), SECRET)
        await router.post([arrival(name) for name in names])
        assert [(await gateway.next()).command.turn for _ in names] == names


async def test_no_one_waits_for_a_gateway_that_hangs() -> None:
    hanging, other = GatewayEnd(hangs=True), GatewayEnd()
    async with running() as router:
        await router.attach(GATEWAY, hanging)
        await router.attach(GatewayId("gateway-2"), other)
        await router.ready(ready(), SECRET)
        async with asyncio.timeout(1):
            await router.post([arrival("a"), replace(arrival("b"), gateway=GatewayId("gateway-2"))])
        assert (await other.next()).command.turn == "b"


async def test_what_a_receiver_does_not_take_in_time_is_dropped_and_the_rest_follows() -> None:
    taken: list[int] = []
    hangs = True

    async def send(batch: Sequence[int]) -> None:
        nonlocal hangs
        if hangs:
            hangs = False
            await asyncio.Event().wait()
        taken.extend(batch)

    outbox = Outbox("test", send, deadline_s=0.05)
    outbox.put(1)
    await asyncio.sleep(0)
    outbox.put(2)
    outbox.put(3)
    await eventually(_that(lambda: taken == [2, 3]))
    await outbox.close()


async def test_a_turn_of_a_gateway_that_is_not_attached_is_not_taken_in() -> None:
    async with running() as router:
        await router.ready(ready(), SECRET)
        await router.post([arrival("a")])
        view = await router.view()
        assert (view.counters.num_turns_arrived, view.replicas[0].num_leases) == (0, 0)


async def test_a_front_obeys_what_is_sealed_with_its_secret_and_a_refusal_stops_nothing() -> None:
    async with front_end() as front, running() as router:
        front.refuses = {"Evict"}
        idle = tuple(ResidentView(SessionKey("t", name), 450) for name in ("x", "y"))
        await router.attach(GATEWAY, GatewayEnd())
        await router.ready(ready(front.endpoint, resident=idle), SECRET)
        await router.post([arrival("a", 800), DrainAsked(ReplicaId("r"), CAUSE)])
        told = [await front.next() for _ in range(3)]
        assert [type(command) for command in told] == [Evict, Evict, Drain]


async def test_a_new_boot_replaces_the_front_with_its_secret() -> None:
    gateway = GatewayEnd()
    async with front_end() as front, running() as router:
        await router.attach(GATEWAY, gateway)
        await router.ready(ready(boot="b0"), b"secret of an earlier boot")
        await router.ready(ready(front.endpoint), SECRET)
        await router.post([arrival("a"), DrainAsked(ReplicaId("r"), CAUSE)])
        assert verify(SECRET, (await gateway.next()).ticket).boot == "b1"
        assert isinstance(await front.next(), Drain)


async def test_a_replica_that_is_gone_is_forgotten() -> None:
    clock = Clock()
    async with running(clock) as router:
        await router.ready(ready(), SECRET)
        await router.post([ReplicaGone(ReplicaId("r"), BootId("b1"), "ended", CAUSE)])
        await eventually(_that(lambda: not router._fronts))


async def test_a_silent_replica_is_not_forgotten_at_once() -> None:
    clock = Clock()
    async with running(clock) as router:
        await router.ready(ready(), SECRET)
        clock.now += 6.0
        await eventually(lambda: _lacks(router, "replicas"))
        assert router._fronts


async def test_loading_is_told_until_it_is_ready_given_up_or_silent() -> None:
    clock = Clock()
    async with running(clock) as router:
        for name in ("r", "given up", "silent"):
            await router.loading(LoadingStatus(f"d of {name}", name, "loading", 0.5))
        assert len((await router.view()).loading) == 3
        await router.ready(ready(), SECRET)
        await router.post([DeploymentWithdrawn(DeploymentId("d of given up"), "no memory", CAUSE)])
        assert [status.replica for status in (await router.view()).loading] == ["silent"]
        clock.now += 16.0
        await eventually(lambda: _lacks(router, "loading"))


async def test_a_gateway_that_is_gone_is_forgotten_and_another_port_takes_its_place() -> None:
    first, second = GatewayEnd(), GatewayEnd()
    async with running() as router:
        await router.ready(ready(), SECRET)
        await router.attach(GATEWAY, first)
        await router.attach(GATEWAY, second)
        await router.post([arrival("a")])
        assert (await second.next()).command.turn == "a"
        assert first.told.empty()
        await router.detach(GATEWAY)
        await router.post([arrival("b")])
        assert (await router.view()).counters.num_turns_arrived == 1


async def test_time_alone_commits_a_waiting_turn() -> None:
    gateway, clock = GatewayEnd(), Clock()
    async with running(clock) as router:
        await router.attach(GATEWAY, gateway)
        await router.ready(ready(capacity=Capacity(30, 1, 30)), SECRET)
        await router.post([arrival("a"), arrival("b")])
        place = (await gateway.next()).command
        assert isinstance(place, Place)
        assert isinstance((await gateway.next()).command, Queue)
        replica, boot = place.replica, place.boot
        await router.post([LeaseStarted(replica, boot, place.lease, 10, 20, CAUSE)])
        clock.now += 3.6
        assert isinstance((await gateway.next()).command, Commit)
        await router.post([LeaseEnded(replica, boot, place.lease, 0, CAUSE)])
        assert isinstance((await gateway.next()).command, Place)


@pytest.mark.parametrize("num", [1, 300])
async def test_an_outbox_sends_all_in_batches(num: int) -> None:
    batches: list[int] = []

    async def send(batch: Sequence[int]) -> None:
        batches.append(len(batch))

    outbox = Outbox("test", send, deadline_s=1.0)
    for number in range(num):
        outbox.put(number)
    await eventually(_that(lambda: sum(batches) == num))
    assert max(batches) <= 256
    await outbox.close()
