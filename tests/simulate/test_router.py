"""The pool's own machine in a lab decides what it would decide in a pool, from what it would be told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from cluster.core.errors import InvalidField
from cluster.simulate.belief import Mistakes
from cluster.simulate.engine import DEVICES, SHARED, Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import FIVE_NODES, LABS, Lab
from cluster.simulate.policy import Arrived, Event, Evict, Finished, Order, Place, Woke
from cluster.simulate.router import REPORT_S, Router
from cluster.simulate.run import sessions_for
from cluster.simulate.trace import Session, Turn
from cluster.simulate.world import Load, World
from tests.simulate.small import MODEL, engine, job, lab, node


class Watched(Router):
    """Keeps what it was told and what it ordered."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self.evicted: list[tuple[str, int]] = []
        self.waited: dict[int, float] = {}

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]:
        orders = super().handle(event, engines, now)
        if isinstance(event, Finished):
            self.machine.check()
        for order in orders:
            match order:
                case Evict(session, node):
                    self.evicted.append((session, engines[node].memory.resident_tokens(session)))
                case Place(job):
                    self.waited[job.number] = now - job.arrived_s
        return orders


def run(sessions: Sequence[Session], at_once: int, turns: int, on: Lab) -> tuple[Watched, World, list[Job]]:
    policy = Watched(Random(1))
    world = World(on, SHARED, policy, Load(sessions, at_once, turns, 1))
    return policy, world, world.run()


@pytest.mark.parametrize("name", list(LABS))
def test_every_turn_is_answered_and_room_is_made_by_the_machine(name: str) -> None:
    policy, world, jobs = run(sessions_for(LABS[name], None, ""), 36, 200, LABS[name])
    assert sorted(each.number for each in jobs) == list(range(200))
    told = policy.machine.view(world.now).counters
    assert told.num_turns_finished == 200
    assert told.num_preemptions == told.num_turns_rejected == 0
    assert policy.evicted
    assert all(tokens > 0 for _, tokens in policy.evicted)


def test_the_machine_knows_what_is_resident() -> None:
    """All that idle sessions have in the engines is booked, and little else is: the tails that
    answers took early, and what a rewrite made useless."""
    policy, world, _ = run(sessions_for(FIVE_NODES, None, ""), 24, 400, FIVE_NODES)
    booked = {
        (each.session.removeprefix("lab/").rsplit("#", 1)[0], each.replica.split("@")[1]): each.tokens
        for each in policy.machine.view(world.now).sessions
    }
    there = {
        (session, node): one.memory.resident_tokens(session)
        for node, one in world.engines.items()
        for session in one.memory.idle
    }
    assert len(there) > 20
    assert all(tokens <= booked[key] for key, tokens in there.items())
    assert sum(there.values()) > 0.9 * sum(booked.values())


def test_a_session_stays_near_its_prefix() -> None:
    session = Session("s", (Turn(0, 20_000, 10, 0), Turn(5, 21_000, 10, 20_010), Turn(5, 22_000, 10, 21_010)))
    _, _, jobs = run([session], 1, 3, lab("a", "b"))
    assert len({each.node for each in jobs}) == 1
    assert [each.hit_tokens for each in jobs] == [0, 20_010, 21_010]


def test_a_turn_waits_at_the_router_until_there_is_room_for_it() -> None:
    one = Lab((MODEL,), (node("n", kv_bytes=30_000 * 1000),))
    sessions = [Session(name, (Turn(0, 20_000, 100, 0),)) for name in "abc"]
    policy, _, jobs = run(sessions, 3, 3, one)
    first, second, third = sorted(jobs, key=lambda each: each.started_s)
    assert policy.waited[first.number] == 0
    for before, after in pairwise((first, second, third)):
        placed_s = after.arrived_s + policy.waited[after.number]
        assert placed_s == pytest.approx(max(before.finished_s, after.arrived_s), abs=1e-6)


def test_what_the_machine_evicts_is_gone_from_the_node() -> None:
    one = Lab((MODEL,), (node("n", kv_bytes=30_000 * 1000),))
    sessions = [Session(name, (Turn(0, 15_000, 100, 0),)) for name in "abc"]
    policy, world, jobs = run(sessions, 1, 3, one)
    assert [session for session, _ in policy.evicted] == [each.session for each in jobs[:2]]
    assert list(world.engines["n"].memory.idle) == [jobs[2].session]


def test_a_long_answer_gets_room_while_it_grows() -> None:
    session = Session("s", (Turn(0, 1000, 5000, 0), Turn(5, 7000, 10, 6000)))
    policy, world, jobs = run([session], 1, 2, lab("n"))
    assert jobs[1].hit_tokens == 6000
    assert policy.machine.view(world.now).counters.num_extensions > 5


def test_a_front_reports_once_a_second_and_only_news() -> None:
    router, there = Router(Random(1)), {"n": engine("n")}
    turn = job(at_s=0.3)
    router.handle(Arrived(turn), there, 0.3)
    assert router.wake_s == REPORT_S
    turn.first_token_s = turn.finished_s = 0.5
    router.handle(Finished(turn, is_last=True), there, 0.5)
    assert router.wake_s == REPORT_S
    router.handle(Woke(), there, REPORT_S)
    assert router.wake_s == float("inf")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_wrong_belief_costs_time_and_no_turn(seed: int) -> None:
    made = sessions_for(FIVE_NODES, None, "")
    thought = Mistakes(memory=0.1, speed=0.5).believed(FIVE_NODES.nodes, seed)
    assert all(
        0.9 <= each.kv_bytes / real.kv_bytes <= 1.1
        for each, real in zip(thought, FIVE_NODES.nodes, strict=True)
    )
    policy = Router(Random(seed))
    load = Load(made, 36, 200, seed)
    jobs = World(FIVE_NODES, DEVICES["shared"], policy, load, believed=thought).run()
    assert len(jobs) == 200
    assert policy.machine.view(0.0).counters.num_preemptions == 0


def test_a_turn_that_no_replica_holds_is_refused_in_words() -> None:
    """Two models share a node's memory, so one alone cannot have all of it."""
    other = replace(MODEL, name="other")
    both = replace(node("n", kv_bytes=30_000 * 1000), prefill_tokens_per_s={"m": 1000.0, "other": 1000.0})
    on = Lab((MODEL, other), (both,))
    with pytest.raises(InvalidField, match="refuses a turn of 20,100 tokens"):
        run([Session("s", (Turn(0, 20_000, 100, 0),))], 1, 1, on)
