"""Where the router's policy sends a turn, on nodes whose prices can be computed by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cluster.core.mind.plan import Decision, plan
from cluster.core.mind.prices import prefill_s, token_s
from cluster.core.mind.returns import returns_within
from cluster.core.mind.views import Kind, NodeView, Pace, Resident, Running, TurnView
from cluster.core.mind.weights import DEFAULT

PACE = Pace(
    prefill_tokens_per_s=1000.0,
    depth_tokens=60_000,
    step_s=0.004,
    weights_s=0.005,
    kv_s_per_token=1e-7,
    kv_bytes_per_token=1000,
)


def node(name: str, speed: float = 1.0, capacity_tokens: float = 500_000, watts: float = 0.0) -> NodeView:
    pace = replace(
        PACE,
        prefill_tokens_per_s=PACE.prefill_tokens_per_s * speed,
        step_s=PACE.step_s / speed,
        weights_s=PACE.weights_s / speed,
        kv_s_per_token=PACE.kv_s_per_token / speed,
    )
    return NodeView(name, capacity_tokens * PACE.kv_bytes_per_token, {"m": pace}, watts=watts)


def turn(
    number: int = 1,
    prompt_tokens: int = 20_000,
    waited_s: float = 0.0,
    kind: Kind = Kind.PERSON,
    tenant: str = "",
    nodes: Sequence[str] = ("a", "b"),
) -> TurnView:
    return TurnView(
        turn=number,
        session=f"s{number}",
        model="m",
        prompt_tokens=prompt_tokens,
        kept_tokens=prompt_tokens,
        output_tokens=200,
        growth_tokens=1000,
        waited_s=waited_s,
        nodes=nodes,
        tenant=tenant,
        kind=kind,
    )


def lies(session: str, tokens: int, idle_s: float = 10.0) -> Resident:
    return Resident(session, "m", tokens, idle_s, growth_tokens=1000)


def runs(
    number: int,
    left_prefill_s: float = 0.0,
    tokens: float = 20_000,
    kind: Kind = Kind.PERSON,
    tenant: str = "",
) -> Running:
    return Running(number, f"s{number}", "m", tokens, left_prefill_s, 200, 0.0, kind, tenant)


def ask(turns: Sequence[TurnView], *nodes: NodeView) -> list[Decision]:
    return plan(turns, nodes, DEFAULT)


def where(turns: Sequence[TurnView], *nodes: NodeView) -> dict[int, str]:
    return {each.choice.turn.turn: each.choice.node for each in ask(turns, *nodes)}


def who_goes(turns: Sequence[TurnView], *nodes: NodeView) -> list[int]:
    return [each.choice.turn.turn for each in ask(turns, *nodes) if each.goes]


def test_a_turn_goes_where_its_context_lies() -> None:
    here = replace(node("b"), residents=[lies("s1", 20_000)])
    assert where([turn()], node("a"), here) == {1: "b"}


def test_a_fast_node_wins_over_a_small_prefix_on_a_slow_one() -> None:
    slow = replace(node("b", 0.2), residents=[lies("s1", 2_000)])
    assert where([turn()], node("a", 5.0), slow) == {1: "a"}


def test_a_node_that_slows_down_loses_the_turns_that_it_would_have_had() -> None:
    assert where([turn()], node("a", 2.0), node("b")) == {1: "a"}
    assert where([turn()], node("a", 0.5), node("b")) == {1: "b"}


def test_a_node_that_came_is_used_and_one_that_went_is_not_waited_for() -> None:
    turns = [turn(nodes=("a", "new"))]
    assert where(turns, node("a"), node("new", 5.0)) == {1: "new"}
    assert where(turns, node("a")) == {1: "a"}
    assert ask(turns, node("other")) == []


def test_a_turn_stays_at_the_router_while_its_node_works_on_shorter_ones() -> None:
    busy = replace(node("a", 5.0), running=[runs(9, left_prefill_s=1.0)])
    (decision,) = ask([turn(nodes=("a",))], busy)
    assert not decision.goes
    assert decision.choice.candidates[0].cost.wait_s == pytest.approx(1.0)


def test_a_short_turn_is_not_stuck_behind_a_long_prefill() -> None:
    busy = replace(node("a"), running=[runs(9, left_prefill_s=100.0)])
    assert who_goes([turn(prompt_tokens=1_000, nodes=("a",))], busy) == [1]


def test_who_has_waited_long_is_no_longer_overtaken() -> None:
    new, old = turn(1, 5_000, nodes=("a",)), turn(2, 50_000, nodes=("a",))
    assert who_goes([old, new], node("a")) == [1]
    assert who_goes([replace(old, waited_s=400.0), new], node("a"))[0] == 2


def test_a_turn_waits_for_memory_that_running_turns_hold() -> None:
    full = replace(node("a", capacity_tokens=50_000), running=[runs(9, tokens=45_000)])
    (decision,) = ask([turn(nodes=("a",))], full)
    assert not decision.goes
    assert decision.choice.candidates[0].cost.wait_s > 0


def test_sessions_that_will_return_are_not_pushed_out_where_there_is_room() -> None:
    full = replace(node("a", capacity_tokens=100_000), residents=[lies("s8", 95_000)])
    assert where([turn()], full, node("b")) == {1: "b"}
    costs = {each.node: each.cost for each in ask([turn()], full, node("b"))[0].choice.candidates}
    assert costs["a"].evicted_s > 0 == costs["b"].evicted_s


def test_one_silent_for_long_is_pushed_out_before_its_price_matters() -> None:
    def evicted_s(idle_s: float) -> float:
        full = replace(node("a", capacity_tokens=100_000), residents=[lies("s8", 95_000, idle_s)])
        return ask([turn(nodes=("a",))], full)[0].choice.candidates[0].cost.evicted_s

    assert evicted_s(36_000.0) < evicted_s(10.0) / 10


def test_answers_that_are_being_said_keep_prefill_away() -> None:
    saying = replace(node("a"), running=[runs(8), runs(9)])
    assert where([turn()], saying, node("b")) == {1: "b"}


def test_background_work_waits_while_a_person_is_served_and_for_persons_who_wait() -> None:
    heartbeat = turn(1, 100, kind=Kind.BACKGROUND, nodes=("a",))
    assert who_goes([heartbeat], replace(node("a"), running=[runs(9)])) == []
    assert who_goes([heartbeat], replace(node("a"), running=[runs(9, kind=Kind.BACKGROUND)])) == [1]
    assert who_goes([heartbeat, turn(2, 90_000, nodes=("a",))], node("a")) == [2]


def test_background_work_prefers_the_node_of_low_power_and_people_do_not() -> None:
    hungry, thrifty = node("a", 1.5, watts=400.0), node("b", watts=40.0)
    assert where([turn(kind=Kind.BACKGROUND)], hungry, thrifty) == {1: "b"}
    assert where([turn()], hungry, thrifty) == {1: "a"}


def test_a_tenant_of_whom_much_runs_lets_another_pass() -> None:
    there = replace(node("a"), running=[runs(number, tenant="many") for number in range(5, 9)])
    mine, theirs = turn(1, 9_000, tenant="few", nodes=("a",)), turn(2, 5_000, tenant="many", nodes=("a",))
    assert who_goes([theirs, mine], there)[0] == 1
    assert who_goes([theirs, mine], node("a"))[0] == 2


def test_a_price_is_the_sum_of_the_terms_that_explain_it() -> None:
    cost = ask([turn()], node("a"), node("b"))[0].choice.candidates[0].cost
    assert cost.prefill_s == pytest.approx(20 * (1 + 10_000 / 60_000))
    assert cost.answer_s == pytest.approx(200 * (0.004 + 0.005 + 20_200e-7))
    assert cost.total_s == pytest.approx(cost.prefill_s + cost.answer_s + cost.life_s)


def test_prefill_slows_with_depth_and_steps_with_what_they_read() -> None:
    assert prefill_s(PACE, 60_000, 1_000) > 1.9 * prefill_s(PACE, 0, 1_000)
    assert token_s(PACE, 4, 1e5) - token_s(PACE, 3, 1e5) == 0
    assert token_s(PACE, 1, 2e5) - token_s(PACE, 1, 1e5) == pytest.approx(0.01)


def test_a_session_just_silent_returns_sooner_than_one_that_sleeps() -> None:
    assert returns_within(10, 0) == pytest.approx(0.5, abs=0.02)
    assert returns_within(60, 1.0) > 0.8 > 0.2 > returns_within(60, 600.0)
