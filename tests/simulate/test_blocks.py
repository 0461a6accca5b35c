"""Prompts that share beginnings on equal nodes: what a trace looks like; hits and even work go together.

Played are prompts of our own making, and the shared trace where it is present.
"""

import gzip
import json
from functools import cache
from pathlib import Path

import pytest

from cluster.core.errors import InvalidField
from cluster.simulate.blocks.figures import BlockFigures, block_figures
from cluster.simulate.blocks.made import MIXES, SPAN_S, made_prompts
from cluster.simulate.blocks.policies import POLICIES
from cluster.simulate.blocks.prompt import Prompt, read_mooncake
from cluster.simulate.blocks.replay import Lab, pooled_hit_blocks, replay

GOOD = {"timestamp": 1500, "input_length": 700, "output_length": 5, "hash_ids": [0, 7]}


def figures(lab: Lab, prompts: list[Prompt], policy: str) -> BlockFigures:
    return block_figures(lab, replay(lab, prompts, POLICIES[policy]()), pooled_hit_blocks(lab, prompts))


def test_a_recorded_prompt_is_read() -> None:
    later, first = GOOD | {"timestamp": 9500}, GOOD | {"timestamp": 8000}
    read = read_mooncake([json.dumps(later), "", json.dumps(first)], "trace")
    assert [prompt.at_s for prompt in read] == [0.0, 1.5]
    assert (read[0].input_tokens, read[0].output_tokens, read[0].blocks) == (700, 5, (0, 7))


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON",
        "[]",
        '{"timestamp": 1e999}',
        json.dumps({"timestamp": 0, "input_length": 700}),
        json.dumps(GOOD | {"hash_ids": [0]}),
        json.dumps(GOOD | {"hash_ids": [7, 7]}),
        json.dumps(GOOD | {"hash_ids": [0, 2**64]}),
        json.dumps(GOOD | {"input_length": 0, "hash_ids": []}),
    ],
)
def test_a_line_that_is_no_prompt_is_named(wrong: str) -> None:
    with pytest.raises(InvalidField) as fault:
        read_mooncake([json.dumps(GOOD), wrong], "trace.jsonl")
    assert fault.value.field == "trace.jsonl:2"
    assert fault.value.remedy


def test_a_trace_without_prompts_is_refused() -> None:
    with pytest.raises(InvalidField, match="holds no prompt"):
        read_mooncake(["\n"], "trace.jsonl")


def test_a_replay_by_hand() -> None:
    """Two nodes take turns.  The third prompt finds two of its three blocks, and waits for the first one."""
    lab = Lab(2, 10, 512.0)
    lengths = ((0.0, (0, 1)), (0.5, (0, 2)), (1.0, (0, 1, 3)))
    prompts = [Prompt(at_s, 512 * len(blocks), 10, blocks) for at_s, blocks in lengths]
    placed = replay(lab, prompts, POLICIES["round-robin"]())
    assert [(each.node, each.hit_blocks, each.first_token_s) for each in placed] == [
        (0, 0, 2.0),
        (1, 0, 2.0),
        (0, 2, 2.0),
    ]
    found = block_figures(lab, placed, pooled_hit_blocks(lab, prompts))
    assert (found.hit_blocks, found.pooled_hit_blocks, found.work_tokens) == (2, 3, 5 * 512)
    assert found.max_to_mean_work == pytest.approx(3 / 2.5)


@cache
def some_minutes(mix: str) -> list[Prompt]:
    return [prompt for prompt in made_prompts(MIXES[mix], 7) if prompt.at_s < SPAN_S / 4]


@pytest.mark.parametrize(("mix", "num_nodes"), [("conversations", 4), ("agents", 8)])
def test_nearly_all_hits_of_one_large_cache_with_even_work(mix: str, num_nodes: int) -> None:
    ours = figures(Lab(num_nodes, 4000, 44_000 / num_nodes), some_minutes(mix), "hearth")
    assert ours.hit_share_of_pooled >= 0.98
    assert ours.max_to_mean_work <= 1.05


def test_each_plain_policy_gives_up_one_of_both() -> None:
    found = {name: figures(Lab(8, 4000, 5500), some_minutes("conversations"), name) for name in POLICIES}
    assert found["least-work"].hit_share_of_pooled < 0.5
    assert found["round-robin"].hit_share_of_pooled < 0.5
    assert found["best-match"].max_to_mean_work > 4
    assert found["hearth"].first_token_mean_s == min(each.first_token_mean_s for each in found.values())


def test_made_prompts_are_like_the_recorded_ones() -> None:
    prompts = made_prompts(MIXES["conversations"], 1)
    assert prompts == made_prompts(MIXES["conversations"], 1)
    assert prompts != made_prompts(MIXES["conversations"], 2)
    assert len(prompts) == pytest.approx(12_031, rel=0.1)
    assert sorted(prompt.input_tokens for prompt in prompts)[len(prompts) // 2] == pytest.approx(
        6909, rel=0.1
    )
    endless = Lab(1, 10**6, 5500)
    hit_rate = pooled_hit_blocks(endless, prompts) / sum(len(prompt.blocks) for prompt in prompts)
    assert hit_rate == pytest.approx(0.366, rel=0.1)


def test_the_recorded_conversations_where_they_are_at_hand(repository: Path) -> None:
    path = repository.parent / "shared/traces/mooncake_conversation_trace.jsonl.gz"
    prompts = made_prompts(MIXES["conversations"], 1)
    if path.exists():
        with gzip.open(path, "rt") as lines:
            prompts = read_mooncake(lines, str(path))
    ours = figures(Lab(8, 8000, 5500), prompts, "hearth")
    assert ours.hit_share_of_pooled >= 0.98
    assert ours.max_to_mean_work <= 1.05
