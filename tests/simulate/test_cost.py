"""The router's own policy in the lab: all are answered, in time, and nothing is known in advance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from cluster.simulate.belief import NO_MISTAKES, Mistakes
from cluster.simulate.cost import Cost
from cluster.simulate.engine import SHARED, Engine
from cluster.simulate.figures import figures_of
from cluster.simulate.job import Job
from cluster.simulate.lab import FIVE_NODES, TWO_STUDIOS_3090, Lab
from cluster.simulate.peers import PEERS
from cluster.simulate.policy import Arrived, Event, Order, Place, Policy
from cluster.simulate.run import sessions_for
from cluster.simulate.trace import Session, Turn
from cluster.simulate.world import Load, World
from tests.simulate.small import MODEL, engine, job, lab

MADE = sessions_for(FIVE_NODES, None, "")


class Watched:
    """Passes everything on, and looks at every node's memory at every event."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.orders, self.wake_s = policy.orders, math.inf
        self.fullest = 0.0

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Order]:
        for each in engines.values():
            used_bytes = each.memory.running_bytes + each.memory.idle_bytes
            self.fullest = max(self.fullest, used_bytes / each.memory.capacity_bytes)
        return self.policy.handle(event, engines, now)


WRONG = Mistakes(memory=0.1, speed=0.5)


def run(
    policy: Policy,
    there: Lab = FIVE_NODES,
    number: int = 12,
    turns: int = 200,
    *,
    wrong: Mistakes = NO_MISTAKES,
) -> list[Job]:
    believed = wrong.believed(there.nodes, 1)
    return World(there, SHARED, policy, Load(MADE, number, turns, 1), believed=believed).run()


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [(Cost(), NO_MISTAKES), (Cost(rehearses=True), NO_MISTAKES), (Cost(), WRONG)],
    ids=["exact", "rehearses", "wrong"],
)
def test_all_turns_are_answered_and_no_node_holds_more_than_it_has(policy: Cost, wrong: Mistakes) -> None:
    watched = Watched(policy)
    jobs = run(watched, wrong=wrong)
    assert sorted(each.number for each in jobs) == list(range(200))
    assert watched.fullest <= 1.0


def test_people_wait_less_than_with_the_others() -> None:
    ours = figures_of(run(Cost()))
    for name in ("dualmap", "llm-d-prefill", "mooncake"):
        others = figures_of(run(PEERS[name](Random(1))))
        assert ours.mean_turn_s < others.mean_turn_s, name
    assert ours.longest_wait_s < 300


def test_speeds_that_are_wrong_by_half_cost_little() -> None:
    exact, mistaken = (figures_of(run(Cost(), wrong=wrong)) for wrong in (NO_MISTAKES, WRONG))
    assert mistaken.mean_turn_s < 1.35 * exact.mean_turn_s


def test_each_model_runs_where_it_is_served() -> None:
    jobs = run(Cost(), TWO_STUDIOS_3090, 6, 100)
    assert {each.model.name for each in jobs if each.node == "rig"} == {"qwen3-coder-30b"}


def test_the_length_of_an_answer_that_nobody_knows_changes_nothing_before_it_is_said() -> None:
    def placed(output_tokens: int) -> Place:
        there = {name: engine(name, rate=rate) for name, rate in (("a", 500.0), ("b", 1000.0), ("c", 800.0))}
        there["b"].submit(job("busy", 5000, output_tokens), 0.0)
        (order,) = Cost().handle(Arrived(job("s", 20_000, output_tokens)), there, 0.0)
        assert isinstance(order, Place)
        return order

    assert placed(1).node == placed(30_000).node


def test_an_idle_node_has_computed_what_was_lost_when_its_session_returns() -> None:
    small = lab("a")
    tight = replace(small, nodes=(replace(small.nodes[0], kv_bytes=70_000 * MODEL.kv_bytes_per_token),))
    long = [Turn(0.0, 40_000, 10, 0), *(Turn(1000.0, 40_100 + at, 10, 40_000) for at in range(4))]

    def evicted(rehearses: bool) -> float:
        sessions = [Session("x", long), Session("y", long)]
        jobs = World(tight, SHARED, Cost(rehearses=rehearses), Load(sessions, 2, 8, 1)).run()
        return sum(each.hit_tokens for each in jobs)

    assert evicted(True) > evicted(False)
