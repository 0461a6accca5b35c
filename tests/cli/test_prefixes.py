"""`hearth prefixes`: a comparison over prompts of one's own, and words for what it cannot read."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app

LENGTHS = {"input_length": 1024, "output_length": 3}


def prefixes(*options: str) -> Result:
    return CliRunner().invoke(app, ["prefixes", *options])


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Two conversations in turns, three prompts each: a prefix is found by who stays where it is."""
    path = tmp_path / "trace.jsonl.gz"
    rows = [
        LENGTHS | {"timestamp": 1000 * at, "hash_ids": [at % 2, 10 + at // 4 * 10 + at % 2]}
        for at in range(6)
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return str(path)


def test_ours_finds_what_one_large_cache_finds_and_works_as_evenly_as_turns_do(trace: str) -> None:
    told = json.loads(prefixes("--trace", trace, "--nodes", "2", "--blocks", "8", "--json").stdout)
    assert (told["num_nodes"], told["blocks_per_node"], told["prompts"]) == (2, 8, trace)
    ours = told["runs"][0]
    assert (ours["policy"], ours["hit_share_of_pooled"], ours["max_to_mean_work"]) == ("hearth", 1.0, 1.0)


def test_the_table_has_a_row_for_each_policy(trace: str) -> None:
    done = prefixes("--trace", trace, "--policies", "hearth,least-work,hearth")
    assert done.exit_code == 0
    rows = [line.split()[0] for line in done.stdout.splitlines() if "%" in line]
    assert rows == ["hearth", "least-work"]
    assert f"6 prompts ({trace}), 8 nodes of 8,000 blocks" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--policies", "bst-match"), "--policies: 'bst-match' is not known."),
        (("--made", "strangers"), "--made: 'strangers' is not known."),
        (("--trace", "nowhere.jsonl"), "--trace: nowhere.jsonl cannot be read"),
        (("--trace", "a.jsonl", "--made", "agents"), "--trace: it has its own prompts."),
        (("--trace", "a.jsonl", "--seed", "0"), "--trace: it has its own prompts."),
    ],
)
def test_what_is_wrong_is_told_with_a_remedy(options: tuple[str, ...], words: str) -> None:
    done = prefixes(*options, "--json")
    assert done.exit_code == 2
    told = json.loads(done.stdout)["error"]
    assert told["problem"].startswith(words)
    assert told["remedy"]


def test_a_line_that_is_no_prompt_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(LENGTHS | {"timestamp": 0, "hash_ids": [1]}))
    told = json.loads(prefixes("--trace", str(path), "--json").stdout)["error"]
    assert told["problem"] == f"{path}:1: hash_ids: 1 blocks for 1024 tokens."


@pytest.mark.parametrize("options", [("--nodes", "1001"), ("--rate", "inf"), ("--rate", "nan")])
def test_more_than_can_be_computed_is_refused(options: tuple[str, str]) -> None:
    done = prefixes(*options)
    assert done.exit_code == 2
    assert options[0] in done.stderr
