"""`hearth simulate`: a comparison on a lab of one's own, and words for what it cannot read."""

import gzip
import json
from pathlib import Path

import msgpack
import pytest
from typer.testing import CliRunner, Result

from cluster.cli import app
from cluster.core.events import TurnArrived, TurnFinished
from cluster.core.ids import Cause, GatewayId, SessionKey, TurnId
from cluster.journal import Journal

LAB = """
models:
  - {name: m, kv_bytes_per_token: 36864, window_tokens: 131072, active_bytes: 3.3e9}
nodes:
  - {name: box, kv_bytes: 20.0e9, bandwidth_bytes_per_s: 4.0e11, prefill_tokens_per_s: 900}
"""


def simulate(*options: str) -> Result:
    turns = () if "--journal" in options else ("--turns", "60")
    return CliRunner().invoke(app, ["simulate", *turns, *options])


@pytest.fixture
def lab(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(LAB)
    return str(path)


def test_another_machine_makes_people_wait_less(lab: str) -> None:
    options = ("--lab", lab, "--policies", "mooncake, sticky,sticky", "--sessions", "4, 8,4", "--json")
    alone, joined = (json.loads(simulate(*options, *more).stdout) for more in ((), ("--add", "m3-ultra-256")))
    assert joined["nodes"] == ["box", "added-2-m3-ultra-256"]
    assert [(run["policy"], run["num_sessions_at_once"]) for run in alone["runs"]] == [
        ("mooncake", 4),
        ("sticky", 4),
        ("mooncake", 8),
        ("sticky", 8),
    ]
    for before, after in zip(alone["runs"], joined["runs"], strict=True):
        assert after["mean_turn_s"] < before["mean_turn_s"]
        assert after["num_turns"] == 60


@pytest.mark.parametrize(
    ("option", "name", "content"),
    [
        ("--lab", "lab.yaml", b"\xbb\xff"),
        ("--lab", "lab.yaml", LAB.replace("131072", "100").encode()),
        ("--lab", "empty.yaml", b""),
        ("--trace", "cut.jsonl.gz", gzip.compress(bytes(1000))[:-9]),
        ("--trace", "torn.jsonl.gz", gzip.compress(b"")[:10] + b"\xff" * 20),
        ("--trace", "huge.jsonl", b'{"block_size": Infinity}'),
        ("--journal", "empty.journal", b""),
        ("--journal", "text.journal", b"not one of ours"),
        ("--journal", "zip.journal", gzip.compress(b"nor this")),
        ("--journal", "old.journal", msgpack.packb({"now": 1.0, "event": msgpack.packb({"kind": "Tick"})})),
    ],
)
def test_a_file_that_is_damaged_or_fits_nothing_is_refused(
    tmp_path: Path, option: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    done = simulate(option, str(tmp_path / name), "--policies", "sticky", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["remedy"]
    assert "::" not in done.stdout


def test_the_table_begins_with_the_policy_that_waits_least() -> None:
    done = simulate("--policies", "round-robin,mooncake,sticky", "--sessions", "12", "--turns", "600")
    assert done.exit_code == 0
    rows = [line.split()[0] for line in done.stdout.splitlines() if line[:1].islower()]
    assert rows[0] == "mooncake"
    assert rows[-1] == "round-robin"


def test_a_recorded_trace_is_replayed(tmp_path: Path, lab: str) -> None:
    turn = {"type": "n", "in": 5000, "out": 50, "think_time": 4.0, "lcp": 0}
    turns = [turn, turn | {"in": 5200, "lcp": 78}, turn | {"in": 5400, "lcp": 81}]
    body = {"id": "s", "block_size": 64, "requests": turns}
    trace = tmp_path / "trace.jsonl.gz"
    trace.write_bytes(gzip.compress(json.dumps(body).encode()))
    told = json.loads(simulate("--lab", lab, "--trace", str(trace), "--policies", "sticky", "--json").stdout)
    kept = (78 + 81) * 64 / (5000 + 5200 + 5400)
    assert told["runs"][0]["hit_rate"] == pytest.approx(kept, rel=0.1)


def test_a_journal_is_replayed_and_drawn(tmp_path: Path, lab: str) -> None:
    journal = Journal(tmp_path, 1)
    for number in range(3):
        turn, session = TurnId(f"t{number}"), SessionKey("home", "s")
        came = TurnArrived(turn, GatewayId("g"), session, "m", 9000, Cause("c"))
        journal.append(came, 100.0 * number)
        ended = TurnFinished(turn, 3000 + 100 * number, 0, 50, Cause("c"))
        journal.append(ended, 100.0 * number + 50)
    journal.close()
    options = ("--lab", lab, "--journal", str(journal.path), "--policies", "router,sticky")
    picture = tmp_path / "drawn.svg"
    told = json.loads(simulate(*options, "--plot", str(picture), "--json").stdout)
    assert (told["num_turns"], told["num_left_out"]) == (3, 0)
    assert [run["num_sessions_at_once"] for run in told["runs"]] == [1, 1, 1]
    assert [run["policy"] for run in told["runs"]] == ["as it was", "router", "sticky"]
    assert [run["mean_turn_s"] for run in told["runs"][:1]] == [50]
    assert told["runs"][1]["hit_rate"] == pytest.approx((3050 + 3150) / (3000 + 3100 + 3200))
    assert picture.read_text().startswith("<svg ")
    assert "3 turns of router-00000001.journal" in simulate(*options).stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--policies", "stikcy"), "--policies: 'stikcy' is not known."),
        (("--device", "gpu"), "--device: 'gpu' is not known."),
        (("--sessions", "12,many"), "--sessions: '12,many' is no list of whole numbers from 1 on."),
        (("--sessions", "12,10001"), "--sessions: 10001 is too many."),
        (("--lab", "nowhere.yaml"), "--lab: nowhere.yaml cannot be read."),
        (("--trace", "nowhere.jsonl"), "--trace: nowhere.jsonl cannot be read"),
        (("--add", "toaster"), "--add.machine: 'toaster' is not known."),
        (("--plot", "a.png"), "--plot: a.png is no .svg"),
        (("--plot", "nowhere/a.svg"), "--plot: there is no folder nowhere."),
        (("--journal", "nowhere.journal"), "--journal: nowhere.journal cannot be read"),
        (("--journal", "a.journal", "--turns", "9"), "--journal: it has its own sessions and turns."),
    ],
)
def test_what_is_wrong_is_told_with_a_remedy(options: tuple[str, str], words: str) -> None:
    done = simulate(*options, "--json")
    assert done.exit_code == 2
    told = json.loads(done.stdout)["error"]
    assert told["problem"].startswith(words)
    assert told["remedy"]


def test_a_run_that_would_not_end_is_refused() -> None:
    done = simulate("--turns", "1000001")
    assert done.exit_code == 2
    assert "--turns" in done.stderr
