"""The parts that turn raw events into figures, and the hash that binds them to their code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.first_light.occupancy import Occupancy, largest_sum
from bench.harness.client import ask, post
from bench.harness.code import code_hash
from bench.harness.numbers import displacements, quantile, rank_correlation
from bench.harness.pool import role_of
from bench.harness.prompts import prompts


def told(*rows: tuple[float, str, str, int]) -> Occupancy:
    """Two slots, 100 tokens; rows are (time, what, whose, tokens)."""
    held = Occupancy(num_slots=2, kv_tokens=100)
    for at_s, what, whose, tokens in rows:
        row: dict[str, Any] = {"at_s": at_s, "what": what, "turn": whose, "lease": whose}
        held.take({**row, "reserved_tokens": tokens})
    return held


def test_a_slot_that_lies_idle_while_a_turn_waits_lowers_what_is_in_use() -> None:
    held = told(
        *[(0.0, "arrived", name, 0) for name in "abc"],
        *[(0.0, "started", name, 40) for name in "ab"],
        (8.0, "ended", "a", 0),
        (10.0, "started", "c", 40),
        (99.0, "ended", "b", 0),
    )
    assert held.in_use_ratio == pytest.approx((8 * 80 + 2 * 40) / 10 / 80)
    assert held.num_over == 0


def test_time_in_which_nobody_waits_does_not_count() -> None:
    held = told((0.0, "arrived", "a", 0), (0.0, "started", "a", 40), (50.0, "ended", "a", 0))
    assert held.in_use_ratio is None


def test_a_turn_that_is_told_to_the_router_again_has_arrived_once() -> None:
    held = told(
        *[(0.0, "arrived", name, 0) for name in "abab"],
        (1.0, "started", "a", 40),
        (2.0, "started", "b", 40),
        (9.0, "ended", "a", 0),
    )
    assert (held.arrived, held.waiting_s) == (["a", "b"], 2.0)


@pytest.mark.parametrize("sizes", [(60, 60), (10, 10, 10)], ids=["tokens", "slots"])
def test_more_than_there_is_counts_as_over(sizes: tuple[int, ...]) -> None:
    held = told(*[(1.0, "started", str(name), size) for name, size in enumerate(sizes)])
    assert held.num_over == 1


def test_what_the_turns_allow_is_the_largest_sum_that_fits() -> None:
    assert largest_sum([40, 50, 60, 70], num=2, most=100) == 100
    assert largest_sum([40, 50, 60, 70], num=2, most=1000) == 130
    assert largest_sum([200], num=2, most=100) == 0


def test_order() -> None:
    assert displacements("abc", "abc") == [0, 0, 0]
    assert displacements("abc", "cba") == [2, 0, 2]
    assert rank_correlation([0, 0, 0]) == 1.0
    assert rank_correlation([2, 0, 2]) == -1.0
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_prompts_repeat_with_their_seed_alone() -> None:
    assert prompts(None, 1, 5, 6) == prompts(None, 1, 5, 6)
    assert prompts(None, 1, 5, 6) != prompts(None, 2, 5, 6)
    firsts = [each[0]["content"].split()[0] for each in prompts(None, 1, 50, 6)]
    assert len(set(firsts)) == 50


def test_the_hash_follows_code_and_not_results(tmp_path: Path) -> None:
    code, results = tmp_path / "cluster" / "a.py", tmp_path / "bench" / "results" / "r.jsonl"
    for path in (code, results):
        path.parent.mkdir(parents=True)
        path.write_text("1")
    before = code_hash(tmp_path)
    results.write_text("2")
    (tmp_path / "bench" / "METHODOLOGY.md").write_text("words")
    assert code_hash(tmp_path) == before
    code.write_text("2")
    assert code_hash(tmp_path) != before


def test_roles_of_processes() -> None:
    assert role_of(["ray::RouterActor.post"]) == "router"
    assert role_of(["ray::ServeReplica:qwen:replica"]) == "front of qwen"
    assert role_of(["/bin/python", "-m", "cluster.deployments.llamacpp_child", "{}"]) == "engine"
    assert role_of(["/bin/python", "-u", "-m", "actors"]) == "supervisor"
    assert role_of(["/opt/thing"]) == "other: thing"


async def test_the_client_notes_when_each_event_was_complete() -> None:
    chunks = [b'data: {"n": 1}\n\nda', b'ta: {"n": 2}\n\n', b"data: [DONE]\n\n"]
    may_go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            await may_go_on.wait()
        writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        loop = asyncio.get_running_loop()
        released = loop.create_future()
        loop.call_later(0.05, lambda: (released.set_result(loop.time()), may_go_on.set()))
        reply = await ask(server.sockets[0].getsockname(), post("/x", {}))
    assert [event for _, event in reply.events] == [{"n": 1}, {"n": 2}]
    assert reply.sent_s <= reply.first_byte_s <= reply.events[0][0] < released.result() <= reply.events[1][0]
