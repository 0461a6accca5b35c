"""`hearth plan --pool`: of the machines that the running pool has."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from cluster.cli.pool_machines import machines_of
from cluster.cli.terminal import CommandFailed
from cluster.core.memory.usable import AppleGpu, NvidiaCard
from cluster.core.view import NodeView, PoolView
from cluster.inventory.gpu import Found
from cluster.pool.paths import PoolPaths
from cluster.pool.state import PoolState, Stage, write_state
from tests.cli.hearth import Hearth
from tests.gateway.home import SETTINGS, gateway_at
from tests.gateway.switch import Switch
from tests.support.lives import Lives

GIB = 2**30
STUDIO = NodeView("studio", 256 * GIB, 250 * GIB, 180 * GIB, chip="Apple M3 Ultra")
MINI = NodeView("mini", 24 * GIB, 20 * GIB, 16 * GIB, chip="Apple M4 Pro")
RIG = NodeView("rig", 64 * GIB, 60 * GIB, 44 * GIB, num_gpus=2, chip="NVIDIA GeForce RTX 3090")
BOX = NodeView("box", 32 * GIB, 30 * GIB, 28 * GIB)


class Pool(Lives):
    async def view(self) -> PoolView:
        return replace(await super().view(), nodes=(STUDIO, BOX))


def test_a_node_is_the_machine_of_its_chip_with_the_memory_that_it_offers() -> None:
    found = machines_of([asdict(node) for node in (STUDIO, RIG, MINI)])
    studio, rig, mini = found.nodes
    assert (studio.name, studio.usable_bytes) == ("m3-ultra-256", 180 * GIB)
    assert (rig.name, rig.usable_bytes, rig.machine.bandwidth_bytes_s) == ("2*rtx-3090", 44 * GIB, 936e9)
    assert (mini.name, mini.usable_bytes) == ("m4-pro-24", 16 * GIB), "no such Mac is in the table"


def test_equal_machines_count_with_what_the_least_of_them_offers() -> None:
    other = replace(STUDIO, node="other", models_bytes=150 * GIB)
    found = machines_of([asdict(node) for node in (STUDIO, other)])
    assert len(set(found.nodes)) == 1, "they may share a model's layers"
    assert found.nodes[0].usable_bytes == 150 * GIB


def test_a_pool_without_known_machines_says_so_with_a_remedy() -> None:
    with pytest.raises(CommandFailed) as told:
        machines_of([asdict(BOX)])
    assert "box is left out" in told.value.problem
    assert "--machine NAME" in told.value.remedy


def test_what_a_driver_calls_a_chip_is_found_in_the_inventory() -> None:
    card = NvidiaCard("NVIDIA GeForce RTX 3090", 24 * GIB, None)
    assert Found((AppleGpu("Apple M3 Ultra", 256 * GIB),)).chip(0) == "Apple M3 Ultra"
    assert Found((card, card)).chip(2) == card.name
    assert Found((card, card)).chip(0) == "", "no engine here computes on them"
    assert Found((card, replace(card, name="NVIDIA GeForce RTX 3060"))).chip(2) == ""


async def test_the_pool_that_runs_is_asked(tmp_path: Path) -> None:
    async with gateway_at(Switch(Pool()), SETTINGS) as pool:
        me, ports = psutil.Process(), (pool.gateway.http_port, pool.gateway.grpc_port)
        paths = PoolPaths(tmp_path)
        paths.state.parent.mkdir(parents=True)
        write_state(paths.state, PoolState(me.pid, me.create_time(), 1.0, Stage.RUNNING, *ports))
        asked = ("plan", "--pool", "--model", "Qwen3-8B", "--json")
        done = await asyncio.to_thread(Hearth(tmp_path, *ports).run, *asked)
    body = json.loads(done.stdout)
    assert body["machines"] == ["m3-ultra-256"]
    assert body["models"][0]["usable_bytes"] == 180 * GIB
    assert "box is left out: no published speeds for it" in body["pool"][1]


def test_without_a_pool_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = Hearth(tmp_path, 1, 2).run("plan", "--pool", "--model", "Qwen3-8B")
    assert done.returncode != 0
    assert "No pool runs" in done.stderr
    assert "hearth up" in done.stderr
