"""Labs, traces and made sessions: what is read, and what is refused by name."""

import json
import re
from itertools import islice
from pathlib import Path

import pytest
import yaml

from cluster.core.errors import InvalidField
from cluster.simulate.figures import quantile
from cluster.simulate.lab import FIVE_NODES, LABS, parse_lab
from cluster.simulate.run import sessions_for
from cluster.simulate.synthetic import synthetic_sessions
from cluster.simulate.traces import read_agent_sessions

MINE = """
models:
  - {name: m, kv_bytes_per_token: 1000, window_tokens: 4096, active_bytes: 1.0e9}
  - {name: other, kv_bytes_per_token: 2000, window_tokens: 4096, active_bytes: 1.0e9}
nodes:
  - {name: studio, machine: m3-ultra-256, kv_bytes: 50.0e9}
  - {name: box, kv_bytes: 5.0e9, bandwidth_bytes_per_s: 1.0e11, prefill_tokens_per_s: {m: 300}}
"""


def test_a_lab_is_read_with_its_machines() -> None:
    lab = parse_lab(yaml.safe_load(MINE), "mine.yaml")
    studio, box = lab.nodes
    assert (studio.kv_bytes, studio.bandwidth_bytes_per_s) == (50e9, 600e9)
    assert studio.prefill_tokens_per_s == {"m": 1000, "other": 1000}
    assert box.holds(lab.models[0], 5_000_000)
    assert not box.holds(lab.models[0], 5_000_001)
    assert not box.holds(lab.models[1], 1)


def test_the_page_has_an_example_that_loads(repository: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (repository / "docs/simulate.md").read_text(), re.DOTALL)
    assert [node.name for node in parse_lab(yaml.safe_load(example), "docs").nodes] == ["studio", "tower"]


@pytest.mark.parametrize(
    ("written", "instead", "field"),
    [
        ("kv_bytes: 5.0e9", "kv_bytes: -1", "mine.yaml:nodes[1].kv_bytes"),
        ("kv_bytes: 5.0e9, ", "", "mine.yaml:nodes[1].kv_bytes"),
        ("kv_bytes: 5.0e9", "kv_byte: 5.0e9", "mine.yaml:nodes[1].kv_byte"),
        ("m3-ultra-256", "m9-ultra", "mine.yaml:nodes[0].machine"),
        ("{m: 300}", "{n: 300}", "mine.yaml:nodes[1].prefill_tokens_per_s"),
        ("name: box", "name: studio", "mine.yaml:nodes"),
        ("name: other", "name: m", "mine.yaml:models"),
        ("window_tokens: 4096", "window_tokens: many", "mine.yaml:models[0].window_tokens"),
    ],
)
def test_what_is_wrong_is_named(written: str, instead: str, field: str) -> None:
    assert written in MINE
    with pytest.raises(InvalidField) as caught:
        parse_lab(yaml.safe_load(MINE.replace(written, instead)), "mine.yaml")
    assert caught.value.field == field


def test_one_more_machine_joins() -> None:
    added = FIVE_NODES.with_machine("m3-ultra-256").with_machine("m3-ultra-256")
    assert len({node.name for node in added.nodes}) == 7
    assert added.nodes[-1].kv_bytes == 118e9
    with pytest.raises(InvalidField, match="Known machines: m3-ultra-256"):
        FIVE_NODES.with_machine("toaster")


def request(**fields: object) -> dict[str, object]:
    return {"type": "n", "in": 1000, "out": 10, "think_time": 5.0, "lcp": 0} | fields


def session(*requests: dict[str, object]) -> str:
    return json.dumps({"id": "s", "block_size": 64, "requests": requests})


def test_a_recorded_session_is_read() -> None:
    line = session(
        request(lcp=3),
        {"type": "subagent", "requests": [request()]},
        request(lcp=15, think_time=99_999, out=0),
        request(lcp=20, **{"in": 1200}),
    )
    (found,) = read_agent_sessions([line, "\n"], "t")
    assert [turn.kept_tokens for turn in found.turns] == [0, 960, 1200]
    assert [turn.think_s for turn in found.turns] == [0, 3600, 5]
    assert found.turns[1].output_tokens == 1


def test_a_line_that_is_no_session_is_named() -> None:
    with pytest.raises(InvalidField, match=r"^t:2: is no agent session"):
        read_agent_sessions([session(request()), "{}"], "t")
    with pytest.raises(InvalidField, match="holds no session"):
        read_agent_sessions([], "t")


@pytest.mark.parametrize(
    ("field", "value"),
    [("think_time", float("nan")), ("think_time", -1), ("in", -1), ("out", -1), ("lcp", -1)],
)
def test_a_size_or_time_that_cannot_be_is_named(field: str, value: float) -> None:
    with pytest.raises(InvalidField, match=f"^t:2: {field}: "):
        read_agent_sessions([session(request()), session(request(), request(**{field: value}))], "t")
    for size in (0, -64):
        with pytest.raises(InvalidField, match=f"^t:1: block_size: {size} "):
            read_agent_sessions([json.dumps({"id": "s", "block_size": size, "requests": []})], "t")


def test_sessions_that_the_lab_cannot_serve_are_left_out() -> None:
    long = session(request(), request(**{"in": 131_000, "out": 100}), request())
    fits = session(request(), request(**{"in": 131_000, "out": 72}), request())
    brief = session(request(), request())
    assert len(sessions_for(FIVE_NODES, [long, fits, brief], "t")) == 1
    with pytest.raises(InvalidField, match="no session of it fits"):
        sessions_for(FIVE_NODES, [long, brief], "t")


def test_made_sessions_are_like_recorded_ones() -> None:
    """Beside what was measured on 396 recorded sessions: contexts of 100k, 209k tokens, and so on."""
    sessions = list(islice(synthetic_sessions(7), 700))
    turns = [turn for each in sessions for turn in each.turns]
    later = [turn for each in sessions for turn in each.turns[1:]]
    prompts = sorted(turn.input_tokens for turn in turns)
    assert quantile(prompts, 0.5) == pytest.approx(100_000, rel=0.2)
    assert quantile(prompts, 0.9) == pytest.approx(209_000, rel=0.25)
    new = sorted(turn.input_tokens - turn.kept_tokens for turn in later)
    assert quantile(new, 0.5) == pytest.approx(737, rel=0.1)
    kept = sum(turn.kept_tokens for turn in turns) / sum(prompts)
    assert kept == pytest.approx(0.96, abs=0.02)
    thinks = sorted(turn.think_s for turn in later)
    assert quantile(thinks, 0.5) == pytest.approx(10, rel=0.1)
    assert quantile(thinks, 0.9) == pytest.approx(163, rel=0.2)


def test_a_seed_makes_the_same_sessions() -> None:
    first, again, other = (list(islice(synthetic_sessions(seed), 3)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name", list(LABS))
def test_each_lab_that_comes_along_has_sessions_to_serve(name: str) -> None:
    assert len(sessions_for(LABS[name], None, "")) == 135
