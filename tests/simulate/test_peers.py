"""What each of the others' policies does in a situation made by hand."""

import math
from random import Random

import pytest

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers import PEERS
from cluster.simulate.peers.estimate import ttft_s
from cluster.simulate.policy import Arrived, Place, Policy, SaidFirst
from tests.simulate.small import engine, have, job

Engines = dict[str, Engine]


def engines(*names: str, rate: float = 1000.0) -> Engines:
    return {name: engine(name, rate=rate) for name in names or ("a", "b", "c")}


def busy(one: Engine, *input_tokens: int) -> None:
    for number, tokens in enumerate(input_tokens):
        one.submit(job(f"busy-{one.node.name}-{number}", tokens), 0.0)


def ask(policy: Policy, there: Engines, turn: Job) -> str:
    (placed,) = policy.handle(Arrived(turn), there, 0.0)
    assert isinstance(placed, Place)
    assert placed.job is turn
    return placed.node


def made(name: str, seed: int = 1) -> Policy:
    return PEERS[name](Random(seed))


def test_round_robin_takes_each_in_turn() -> None:
    policy, there = made("round-robin"), engines()
    assert sorted(ask(policy, there, job()) for _ in range(3)) == ["a", "b", "c"]


def test_least_loaded_counts_turns_and_not_their_length() -> None:
    there = engines()
    busy(there["a"], 9000)
    busy(there["b"], 10, 10)
    busy(there["c"], 10, 10)
    assert ask(made("least-loaded"), there, job()) == "a"


def test_least_kv_counts_their_memory() -> None:
    there = engines()
    busy(there["a"], 9000)
    busy(there["b"], 10, 10)
    busy(there["c"], 8000)
    assert ask(made("least-kv"), there, job()) == "b"


def test_power_of_two_never_takes_the_fullest_of_two_different_ones() -> None:
    there = engines("full", "empty")
    busy(there["full"], 10, 10)
    drawn = {name: {ask(made(name, seed), there, job()) for seed in range(30)} for name in PEERS}
    assert drawn["power-of-two-distinct"] == {"empty"}
    assert drawn["power-of-two"] == {"empty", "full"}


def test_sticky_stays_although_others_are_empty() -> None:
    policy, there = made("sticky"), engines()
    home = ask(policy, there, job("s"))
    busy(there[home], 9000, 9000, 9000)
    assert ask(policy, there, job("s")) == home
    assert ask(policy, there, job("other")) != home


@pytest.mark.parametrize("name", ["sglang", "ray-prefix", "ray-prefix-distinct"])
def test_a_prefix_router_goes_to_the_match_and_else_to_the_smallest_tree(name: str) -> None:
    policy, there = made(name), engines()
    first = ask(policy, there, job("s", 5000))
    assert ask(policy, there, job("s", 5500, kept_tokens=5000)) == first
    second = ask(policy, there, job("t", 1000))
    assert ask(policy, there, job("u", 1000)) not in (first, second)
    assert ask(policy, there, job("s", 5500, kept_tokens=100)) != first


def test_a_fifth_of_the_prompt_is_a_match_to_ray_and_none_to_sglang() -> None:
    for name, is_match in (("ray-prefix", True), ("sglang", False)):
        policy, there = made(name), engines()
        first = ask(policy, there, job("s", 5000))
        assert (ask(policy, there, job("s", 5000, kept_tokens=1000)) == first) is is_match


@pytest.mark.parametrize("seed", range(8))
def test_what_was_sent_before_a_rewrite_is_no_match(seed: int) -> None:
    policy, there = made("sglang", seed), engines()
    ask(policy, there, job("s", 5000))
    second = ask(policy, there, job("s", 2000, kept_tokens=100))
    assert ask(policy, there, job("s", 3000, kept_tokens=2000)) == second


def test_ray_leaves_the_match_where_queues_differ_by_five_and_sglang_does_not() -> None:
    for name, stays in (("ray-prefix-distinct", False), ("sglang", True)):
        policy, there = made(name), engines("a", "b")
        first = ask(policy, there, job("s", 5000))
        busy(there[first], 10, 10, 10, 10, 10)
        assert (ask(policy, there, job("s", 5500, kept_tokens=5000)) == first) is stays


def test_sglang_leaves_it_at_a_gap_of_more_than_64() -> None:
    policy, there = made("sglang"), engines("a", "b")
    first = ask(policy, there, job("s", 5000))
    busy(there[first], *[10] * 65)
    assert ask(policy, there, job("s", 5500, kept_tokens=5000)) != first


def test_dynamo_adds_what_is_to_be_computed_and_what_decodes() -> None:
    """At a 5,000 tokens are resident: worth as much as a queue of 2,500 tokens, which count twice."""
    for queued, expected in ((2400, "a"), (2600, "b")):
        there = engines("a", "b")
        have(there["a"], "s", 5000)
        busy(there["a"], queued)
        assert ask(made("dynamo"), there, job("s", 6000, kept_tokens=5000)) == expected


def test_llm_d_leaves_a_full_match_only_for_queue_and_memory_together() -> None:
    there = engines("a", "b")
    have(there["a"], "s", 6000)
    turn = job("s", 6001, kept_tokens=6000)
    busy(there["a"], 10)
    assert ask(made("llm-d"), there, turn) == "a"
    turn = job("s", 10_000, kept_tokens=6000)
    assert ask(made("llm-d"), there, turn) == "b"


def test_llm_d_may_count_only_those_that_wait_for_prefill() -> None:
    there = engines("a", "b")
    have(there["a"], "s", 6000)
    busy(there["a"], 10)
    there["a"].step(there["a"].next_s)
    turn = job("s", 10_000, kept_tokens=6000)
    assert ask(made("llm-d"), there, turn) == "b"
    assert ask(made("llm-d-prefill"), there, turn) == "a"


def test_an_estimate_counts_the_queue_before_a_turn_and_its_own_prefill() -> None:
    one, turns = engine(), [job(name, 1000) for name in "abc"]
    for each in turns:
        one.submit(each, 0.0)
    one.advance(0.5)
    whole_s = 1 + 500 / 60_000
    assert ttft_s(one, turns[1]) == pytest.approx(2 * whole_s)
    assert ttft_s(one, job("d", 1000)) == pytest.approx(4 * whole_s)


def test_mooncake_weighs_the_queue_against_the_prefill() -> None:
    for queued, expected in ((4000, "a"), (6000, "b")):
        there = engines("a", "b")
        have(there["a"], "s", 5000)
        busy(there["a"], queued)
        assert ask(made("mooncake"), there, job("s", 6000, kept_tokens=5000)) == expected


def test_dual_map_knows_two_nodes_for_a_session_and_keeps_to_the_hot_one() -> None:
    policy, there = made("dualmap"), engines("a", "b", "c", "d", "e")
    seen = set()
    for _ in range(8):
        chosen = ask(policy, there, job("s", 6000))
        seen.add(chosen)
        busy(there[chosen], 20_000)
    assert len(seen) == 2
    fresh = engines("a", "b", "c", "d", "e")
    hot = seen.pop()
    have(fresh[hot], "s", 5000)
    busy(fresh[hot], 3000)
    assert ask(policy, fresh, job("s", 5500, kept_tokens=5000)) == hot


def test_dual_map_moves_a_turn_that_would_be_late() -> None:
    policy, there = made("dualmap"), engines("a", "b")
    busy(there["a"], 20_000)
    late = job("s", 1000)
    there["a"].submit(late, 0.0)
    (moved,) = policy.handle(SaidFirst(late), there, 0.0)
    assert moved == Place(late, "b")


@pytest.mark.parametrize("name", list(PEERS))
def test_no_turn_goes_where_it_can_never_fit(name: str) -> None:
    there = {"small": engine("small", kv_bytes=500 * 1000), "large": engine("large")}
    busy(there["large"], 9000, 9000)
    assert ask(made(name), there, job()) == "large"


@pytest.mark.parametrize("name", list(PEERS))
def test_the_others_ask_for_no_time_of_their_own(name: str) -> None:
    assert made(name).wake_s == math.inf
