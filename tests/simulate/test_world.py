"""The lab in motion: nothing is lost, nothing is exceeded, and a seed tells the same story twice."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

import pytest

from cluster.simulate.engine import DEVICES, SHARED, Engine
from cluster.simulate.figures import figures_of
from cluster.simulate.job import Job
from cluster.simulate.lab import FIVE_NODES, TWO_STUDIOS_3090, Lab
from cluster.simulate.orders import Orders, Stock
from cluster.simulate.peers import PEERS
from cluster.simulate.policy import Arrived, Event, Order, Place, Policy, Woke
from cluster.simulate.run import sessions_for
from cluster.simulate.trace import Session, Turn
from cluster.simulate.world import Load, World
from tests.simulate.small import lab

MADE = sessions_for(FIVE_NODES, None, "")


class Watched:
    """Passes everything on, and looks at every node's memory at every event."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.events: list[str] = []
        self.fullest = 0.0

    @property
    def wake_s(self) -> float:
        return self.policy.wake_s

    @property
    def orders(self) -> Orders:
        return self.policy.orders

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]:
        self.events.append(type(event).__name__)
        for engine in engines.values():
            memory = engine.memory
            held = sum(job.kv_bytes for job in engine.decoding)
            held += sum(
                job.kv_bytes for job in (*engine.waiting, engine.prefilling) if job and job.has_started
            )
            assert held == memory.running_bytes
            idle = sum(memory.resident_tokens(session) * 36_864 for session in memory.idle)
            assert idle == memory.idle_bytes
            self.fullest = max(self.fullest, (held + idle) / memory.capacity_bytes)
        return self.policy.handle(event, engines, now)


class Hourly:
    """Keeps turns, and places them all on the full hour."""

    def __init__(self) -> None:
        self.kept: list[Job] = []
        self.orders = Stock()
        self.wake_s = math.inf

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Place]:
        match event:
            case Arrived(job):
                self.kept.append(job)
                self.wake_s = (now // 3600 + 1) * 3600
                return ()
            case Woke():
                placed = [Place(job, next(iter(engines))) for job in self.kept]
                self.kept, self.wake_s = [], math.inf
                return placed
            case _:
                return ()


def run(
    policy: Policy, seed: int = 1, sessions: int = 24, turns: int = 600, on: Lab = FIVE_NODES
) -> list[Job]:
    return World(on, SHARED, policy, Load(MADE, sessions, turns, seed)).run()


@pytest.mark.parametrize("name", list(PEERS))
def test_every_turn_is_answered_and_no_memory_is_exceeded(name: str) -> None:
    watched = Watched(PEERS[name](Random(1)))
    jobs = run(watched, sessions=36, turns=400)
    assert sorted(job.number for job in jobs) == list(range(400))
    assert all(watched.events.count(kind) == 400 for kind in ("Arrived", "Began", "SaidFirst", "Finished"))
    assert 0.5 < watched.fullest <= 1
    for job in jobs:
        assert 0 <= job.hit_tokens <= min(job.kept_tokens, job.input_tokens - 1)
        assert job.arrived_s <= job.started_s < job.first_token_s <= job.finished_s


@pytest.mark.parametrize("name", ["dualmap", "mooncake"])
def test_work_is_conserved(name: str) -> None:
    """Undisturbed, a node is busy with prefill for exactly the prompts' parts that were not resident."""
    jobs = World(FIVE_NODES, DEVICES["undisturbed"], PEERS[name](Random(1)), Load(MADE, 12, 300, 1)).run()
    nodes = {node.name: node for node in FIVE_NODES.nodes}
    for job in jobs:
        new_tokens = job.input_tokens - job.hit_tokens
        own_s = nodes[job.node].prefill_s(job.model, job.hit_tokens, new_tokens)
        assert job.first_token_s - job.started_s == pytest.approx(own_s)


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    told = [figures_of(run(PEERS["dualmap"](Random(1)), seed)) for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


def test_a_turn_comes_its_think_time_after_the_last_answer() -> None:
    session = Session("s", (Turn(0, 1000, 10, 0), Turn(40, 1500, 10, 1010), Turn(7, 1600, 10, 1510)))
    jobs = World(lab("n"), SHARED, PEERS["sticky"](Random(1)), Load([session], 1, 6, 1)).run()
    pauses = [after.arrived_s - before.finished_s for before, after in pairwise(jobs)]
    assert [pauses[0], pauses[1], pauses[3], pauses[4]] == pytest.approx([40, 7, 40, 7])
    assert jobs[0].session == jobs[2].session != jobs[3].session
    assert [job.hit_tokens for job in jobs] == [0, 1010, 1510, 0, 1010, 1510]


def test_a_copy_elsewhere_is_of_no_use_behind_a_rewrite() -> None:
    session = Session("s", (Turn(0, 1000, 10, 0), Turn(1, 1500, 10, 100), Turn(1, 1600, 10, 1510)))
    jobs = World(lab("a", "b"), SHARED, PEERS["round-robin"](Random(1)), Load([session], 1, 3, 1)).run()
    assert jobs[0].node == jobs[2].node != jobs[1].node
    assert [job.hit_tokens for job in jobs] == [0, 0, 100]


def test_a_policy_may_keep_turns_and_place_them_later() -> None:
    jobs = run(Hourly(), turns=60)
    assert all(job.started_s >= math.ceil(job.arrived_s / 3600) * 3600 for job in jobs)


def test_a_policy_that_forgets_a_turn_is_found_out() -> None:
    class Forgetful(Hourly):
        def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Place]:
            return ()

    with pytest.raises(RuntimeError, match="keeps turns"):
        run(Forgetful(), turns=10)


def test_models_of_a_lab_take_the_sessions_in_turn() -> None:
    jobs = World(TWO_STUDIOS_3090, SHARED, PEERS["least-loaded"](Random(1)), Load(MADE, 6, 300, 1)).run()
    assert {job.model.name for job in jobs} == {"gpt-oss-120b", "qwen3-coder-30b"}
    assert {job.model.name for job in jobs if job.node == "rig"} == {"qwen3-coder-30b"}


def test_figures_are_what_people_waited() -> None:
    jobs = run(PEERS["sticky"](Random(1)))
    told = figures_of(jobs)
    assert told.mean_turn_s == pytest.approx(sum(job.finished_s - job.arrived_s for job in jobs) / 600)
    late = sum(job.first_token_s - job.arrived_s > told.ttft_p99_s for job in jobs)
    assert late == 6
    assert told.hit_rate == sum(job.hit_tokens for job in jobs) / sum(job.input_tokens for job in jobs)
