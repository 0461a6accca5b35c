"""Models that take turns in memory for fewer: how much time is lost, and how long anyone waits."""

from math import inf

import pytest

from cluster.core.commands import Drain, Load, Place, Queue, Unload
from cluster.core.context import Limits
from cluster.core.ids import DeploymentId
from cluster.core.swap import (
    FRESH_SHARE,
    IDLE_LOADS,
    Held,
    SwapPolicy,
    Wanted,
    batched,
    bound_s,
    first_come,
    quantum_s,
    thrashing,
    value,
)
from tests.core.drive import only
from tests.core.managed import home
from tests.core.stream import Outcome, Work, stream

SWAP_WAIT_S = 60.0
SEEN_S = 1.0
"""The watch looks once a second."""

THREE = ("a", "b", "c")


def held(name: str, **more: object) -> Held:
    fields: dict[str, object] = {
        "priority": 0,
        "value": 0.0,
        "ready_at": 0.0,
        "used_at": 0.0,
        "num_running": 0,
        "oldest_arrival": None,
    }
    return Held(DeploymentId(name), **{**fields, **more})  # ty: ignore[invalid-argument-type]


def wanted(since: float = 100.0, load_s: float = 5.0, by_turn: bool = True) -> Wanted:
    return Wanted(DeploymentId("w"), since, load_s, by_turn, since)


def order(policy: SwapPolicy, want: Wanted, *those: Held, thrash: bool = False, now: float = 100.0) -> dict:
    goings = policy(want, those, thrash, SWAP_WAIT_S, now)
    return {going.deployment: going.at for going in goings}


def test_idle_models_go_first_then_by_priority_value_and_last_use() -> None:
    goings = order(
        batched,
        wanted(),
        held("busy", num_running=1),
        held("dear", priority=1),
        held("valued", value=9.0),
        held("used", used_at=90.0),
        held("first"),
    )
    assert list(goings) == ["first", "used", "valued", "dear", "busy"]


@pytest.mark.parametrize(
    ("want", "each", "thrash", "at"),
    [
        pytest.param(wanted(), held("h"), False, 100.0, id="idle: at once"),
        pytest.param(
            wanted(), held("h", ready_at=90.0, used_at=125.0), True, 130.0, id="idle in thrash: its quantum"
        ),
        pytest.param(
            wanted(), held("h", ready_at=90.0, used_at=95.0), True, 110.0, id="idle for long in thrash"
        ),
        pytest.param(wanted(), held("h", num_running=1, ready_at=90.0), False, 130.0, id="busy: its quantum"),
        pytest.param(
            wanted(), held("h", oldest_arrival=9.0), False, 40.0, id="its quantum was over long ago"
        ),
        pytest.param(
            wanted(load_s=50.0),
            held("h", num_running=1, ready_at=99.0),
            False,
            159.0,
            id="capped by the bound",
        ),
        pytest.param(
            wanted(since=30.0, load_s=50.0),
            held("h", num_running=1, ready_at=60.0),
            False,
            90.0,
            id="the bound",
        ),
        pytest.param(
            wanted(since=30.0, load_s=50.0), held("h", num_running=1, ready_at=95.0), False, 110.0, id="fresh"
        ),
        pytest.param(wanted(by_turn=False), held("h"), True, 100.0, id="a person: idle"),
        pytest.param(wanted(by_turn=False), held("h", num_running=1), False, inf, id="a person: not busy"),
    ],
)
def test_when_a_model_is_closed_for_another(want: Wanted, each: Held, thrash: bool, at: float) -> None:
    assert order(batched, want, each, thrash=thrash) == {"h": pytest.approx(at)}


def test_first_come_closes_whoever_has_no_earlier_turn_the_least_recently_used_first() -> None:
    goings = order(
        first_come,
        wanted(since=50.0),
        held("earlier", oldest_arrival=40.0),
        held("later", oldest_arrival=60.0, used_at=60.0),
        held("recent", used_at=90.0),
        held("idle", used_at=10.0),
    )
    assert goings == {"idle": 100.0, "recent": 100.0, "later": 100.0, "earlier": inf}
    assert list(goings)[:3] == ["idle", "recent", "later"]


def test_thrash_is_many_swaps_that_cost_much_of_the_time() -> None:
    assert not thrashing([(0.0, 20.0), (10.0, 20.0)], 20.0), "two are no thrash"
    assert thrashing([(0.0, 20.0), (100.0, 20.0), (200.0, 20.0)], 300.0)
    assert not thrashing([(0.0, 1.0), (100.0, 1.0), (200.0, 1.0)], 300.0), "they cost a hundredth"
    assert not thrashing([(0.0, 20.0), (100.0, 20.0), (200.0, 20.0)], 900.0), "long ago"


def test_a_model_is_worth_what_its_return_costs_as_often_as_it_is_wanted() -> None:
    assert value(2.0, 10.0, 0.0) > value(1.0, 10.0, 0.0)
    assert value(1.0, 30.0, 0.0) > value(1.0, 10.0, 0.0)
    assert value(1.0, 10.0, 5.0) > value(1.0, 10.0, 0.0), "resident sessions lose their prefix"


def test_the_quantum_grows_with_the_cost_of_a_swap_up_to_the_bound() -> None:
    assert quantum_s(1.0, 60.0) < quantum_s(5.0, 60.0) < quantum_s(50.0, 60.0) == 60.0


def test_a_busy_model_is_closed_at_the_bound_and_its_turn_in_flight_finishes() -> None:
    drive = home(4)
    drive.model("a", 4)
    drive.model("b", 4)
    drive.seconds(60)
    drive.started("a")
    first = only(drive.arrive("a1", model="a"), Place).lease
    drive.runs("a1", "a", first)
    queue = only(drive.arrive("b1", model="b"), Queue)
    assert queue.loading == "waiting for memory"
    assert queue.estimate_s == pytest.approx(60 + 9, abs=3), "its victim's quantum and its load"
    drive.seconds(58)
    assert [place.turn for place in drive.heard(Place)] == ["a1"]
    second = only(drive.arrive("a2", model="a"), Place).lease
    drive.runs("a2", "a", second)
    drive.seconds(4)
    assert {drain.replica for drain in drive.heard(Drain)} == {"a"}
    assert not [each for each in drive.arrive("a3", model="a") if isinstance(each, Place)]
    drive.seconds(30)
    assert not drive.heard(Unload), "never one with turns in flight"
    drive.ends("a1", "a", first)
    drive.ends("a2", "a", second)
    drive.seconds(2)
    assert drive.heard(Load)[-1].deployment == "b"
    assert only(drive.started("b"), Place).turn == "b1"
    drive.second()
    assert drive.machine.view(drive.now).counters.num_swaps == 1


def run(policy: SwapPolicy, models: tuple[str, ...], node_gib: float, work: Work, seconds: float) -> Outcome:
    outcome = stream(work, node_gib, policy).run_for(seconds)
    assert outcome.num_placed == outcome.num_turns
    assert outcome.num_refused == 0
    return outcome


@pytest.mark.parametrize(("load_s", "seed"), [(5.0, 1), (10.0, 2), (20.0, 3)])
def test_three_models_in_memory_for_two_lose_at_most_half_of_what_first_come_loses(
    load_s: float, seed: int
) -> None:
    work = Work(THREE, every_s=2.0, turn_s=3.0, load_s=load_s, seed=seed)
    ours, theirs = (run(policy, THREE, 8, work, 240.0) for policy in (batched, first_come))
    assert ours.lost_s <= 0.5 * theirs.lost_s
    assert ours.num_swaps >= 3, "they do take turns"
    assert max(ours.starts) <= SWAP_WAIT_S + SEEN_S
    whole = bound_s(SWAP_WAIT_S, 3.0, 1.0, load_s, places=2) + 3.0 + 1.0 + load_s
    assert max(ours.waits) <= whole + 2.0


@pytest.mark.parametrize(("num_models", "places"), [(2, 1), (4, 2)])
def test_the_bound_is_kept_however_many_take_turns(num_models: int, places: int) -> None:
    names = tuple("abcdef"[:num_models])
    work = Work(names, every_s=2.0, turn_s=3.0, load_s=10.0)
    outcome = run(batched, names, 4.0 * places, work, 240.0)
    start_s = bound_s(SWAP_WAIT_S, 3.0, 1.0, 10.0, places, ahead=num_models - places - 1)
    assert max(outcome.starts, default=0.0) <= start_s
    assert max(outcome.waits) <= start_s + 3.0 + 1.0 + 10.0 + 2.0
    assert outcome.num_swaps >= 4


def test_a_smaller_bound_is_kept_at_the_price_of_more_swaps() -> None:
    work = Work(THREE, every_s=2.0, turn_s=3.0, load_s=20.0)
    made = stream(work, 8, batched, Limits(swap_wait_s=20.0))
    outcome = made.run_for(200.0)
    assert max(outcome.starts) <= max(20.0, FRESH_SHARE * 20.0 + 24.0) + SEEN_S
    assert outcome.num_swaps > stream(work, 8, batched).run_for(200.0).num_swaps


def test_who_uses_two_models_in_turn_waits_for_loads_but_for_no_batches() -> None:
    load_s, turn_s = 5.0, 3.0
    made = stream(Work(("a", "b"), 1.0, turn_s, load_s), 4, batched)
    waits: list[float] = []
    for index in range(8):
        name, asked_at = f"t{index}", made.now
        made.arrive(name, model="ab"[index % 2], patience_s=1e6)
        while name not in made.placed_at and made.now < asked_at + 300.0:
            made.step()
        waits.append(made.placed_at[name] - asked_at)
        while made.ends_at:
            made.step()
    assert made.machine.view(made.now).counters.num_swaps >= 6
    assert max(waits) <= (IDLE_LOADS + 1) * load_s + 5.0


def test_models_that_all_fit_are_never_swapped() -> None:
    outcome = run(batched, THREE, 12, Work(THREE, 2.0, 3.0, 10.0), 60.0)
    assert outcome.num_swaps == 0
    assert max(outcome.waits) < 12.0
