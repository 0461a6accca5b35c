"""`hearth plan --pool`: of the machines that the running pool has."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from cluster.cli.pool_machines import check_known, machines_of
from cluster.cli.terminal import CommandFailed
from cluster.core.memory.usable import AppleGpu, NvidiaCard
from cluster.core.view import NodeView, PoolView
from cluster.gateway.gateway import Gateway
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
ASKED = ("plan", "--pool", "--model", "Qwen3-8B", "--json")


class Pool(Lives):
    nodes: tuple[NodeView, ...] = (STUDIO, BOX)

    async def view(self) -> PoolView:
        return replace(await super().view(), nodes=self.nodes)


class UnknownPool(Pool):
    nodes = (BOX,)


def known_to(pool: Gateway, home: Path) -> Hearth:
    """A command that takes `pool` for the one of its `home`."""
    me, ports = psutil.Process(), (pool.http_port, pool.grpc_port)
    paths = PoolPaths(home)
    paths.state.parent.mkdir(parents=True)
    write_state(paths.state, PoolState(me.pid, me.create_time(), 1.0, Stage.RUNNING, *ports))
    return Hearth(home, *ports)


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


@pytest.mark.parametrize(
    ("chip", "name"),
    [
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000"),
        ("NVIDIA GeForce RTX 4070 Ti", "rtx-4070-ti"),
    ],
)
def test_a_card_is_known_by_the_name_that_its_driver_prints(chip: str, name: str) -> None:
    (found,) = machines_of([asdict(replace(RIG, num_gpus=1, chip=chip))]).nodes
    assert found.name == name


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (BOX, "it has no GPU that engines here use"),
        (replace(RIG, chip=""), "its cards differ"),
        (replace(RIG, models_bytes=0), "it offers no memory to models"),
        (
            replace(RIG, chip="NVIDIA GeForce RTX 2080"),
            "no published speeds for it (NVIDIA GeForce RTX 2080)",
        ),
    ],
)
def test_a_node_is_left_out_for_its_own_reason(node: NodeView, why: str) -> None:
    assert machines_of([asdict(node)]).told == (f"{node.node} is left out: {why}",)


def test_a_pool_without_known_machines_says_so_with_a_remedy() -> None:
    with pytest.raises(CommandFailed) as told:
        check_known(machines_of([asdict(BOX)]))
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
        hearth = known_to(pool.gateway, tmp_path)
        done = await asyncio.to_thread(hearth.run, *ASKED)
    body = json.loads(done.stdout)
    assert body["machines"] == ["m3-ultra-256"]
    assert body["models"][0]["usable_bytes"] == 180 * GIB
    assert body["pool"][1] == "box is left out: it has no GPU that engines here use"


async def test_a_named_machine_is_enough_beside_an_unknown_pool(tmp_path: Path) -> None:
    async with gateway_at(Switch(UnknownPool()), SETTINGS) as pool:
        hearth = known_to(pool.gateway, tmp_path)
        named = await asyncio.to_thread(hearth.run, *ASKED, "--machine", "rtx-3090")
        alone = await asyncio.to_thread(hearth.run, *ASKED)
    assert json.loads(named.stdout)["machines"] == ["rtx-3090"]
    assert alone.returncode != 0
    assert "--machine NAME" in json.loads(alone.stdout)["error"]["remedy"]


def test_without_a_pool_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = Hearth(tmp_path, 1, 2).run("plan", "--pool", "--model", "Qwen3-8B")
    assert done.returncode != 0
    assert "No pool runs" in done.stderr
    assert "hearth up" in done.stderr
