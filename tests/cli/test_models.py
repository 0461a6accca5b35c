"""`hearth models | load | unload`, and a chat that waits, before a real gateway whose router is scripted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from cluster.cli.answer import waiting_words
from cluster.core.commands import Commit, Queue
from cluster.core.events import LoadAsked, TurnArrived, TurnCancelled, UnloadAsked
from cluster.core.ids import Cause, GatewayId
from cluster.core.view import ModelStatus
from cluster.pool.paths import PoolPaths
from cluster.pool.state import PoolState, Stage, write_state
from tests.cli.hearth import Hearth
from tests.cli.screen import terminal
from tests.gateway.home import SETTINGS, gateway_at
from tests.gateway.switch import Switch
from tests.support.lives import FAILED, LOADING, NO_ROOM, READY, UNLOADED, UPSTREAM, Lives

CAUSE, GATEWAY = Cause("test"), GatewayId("gateway-1")


@dataclass
class Said:
    status: int
    words: str
    errors: str


@dataclass
class Command:
    """`hearth` before a gateway of this very process, which stands for the pool's supervisor too."""

    hearth: Hearth
    router: Lives

    async def run(self, *args: str) -> Said:
        done = await asyncio.to_thread(self.hearth.run, *args)
        return Said(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def _command(tmp_path: Path, router: Lives) -> AsyncGenerator[Command]:
    async with gateway_at(Switch(router), SETTINGS) as pool:
        me = psutil.Process()
        ports = pool.gateway.http_port, pool.gateway.grpc_port
        paths = PoolPaths(tmp_path)
        paths.state.parent.mkdir(parents=True)
        write_state(paths.state, PoolState(me.pid, me.create_time(), 1.0, Stage.RUNNING, *ports))
        yield Command(Hearth(tmp_path, *ports), router)


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncGenerator[Command]:
    async with _command(tmp_path, Lives(UNLOADED, UPSTREAM)) as command:
        yield command


async def test_models_shows_each_with_its_state_and_why_one_failed(pool: Command) -> None:
    coder = replace(READY, model="coder", tensor_parallel=2, nodes=("studio", "mini"), keep_warm=False)
    coder = replace(coder, num_slots=2, num_checkpoints=1)
    pool.router.show(LOADING, coder, replace(FAILED, model="giant"))
    said = await pool.run("models")
    assert said.status == 0
    rows = {line.split()[0]: line for line in said.words.splitlines() if line.strip()}
    assert "kept warm, small" in rows["qwen3-8b"]
    assert "qwen3-8b: reading weights ━━━━━━╌╌╌╌╌╌╌╌╌╌ 40%" in said.words
    for fact in ("llamacpp q4_k_m TP2", "32,768", "studio, mini", "9.0 GiB", "2 running"):
        assert fact in rows["coder"]
    assert "coder: 2 slots (usually 4), 1 checkpoint a slot (usually 3)" in said.words
    assert "hosted" in rows["llama3.2"]
    assert "giant: It needs 90 GiB and the nodes have 16 GiB." in said.words
    told = await asyncio.to_thread(pool.hearth.json, "models")
    assert [model["state"] for model in told["models"]] == ["loading", "ready", "ready", "failed"]


async def test_load_waits_and_says_how_far_it_is(pool: Command) -> None:
    loading = asyncio.create_task(pool.run("load", "qwen3-8b"))
    await pool.router.hear(LoadAsked)
    pool.router.show(READY)
    said = await asyncio.wait_for(loading, 30)
    assert said.status == 0
    assert "loading qwen3-8b: reading weights" in said.errors
    assert "✓ qwen3-8b is ready after" in said.words
    assert "llamacpp, q4_k_m, 32,768 tokens, 9.0 GiB, on studio" in said.words


@pytest.mark.parametrize("end", [FAILED, NO_ROOM], ids=["failed", "fits nowhere"])
async def test_a_load_that_cannot_be_says_why(tmp_path: Path, end: ModelStatus) -> None:
    async with _command(tmp_path, Lives(UNLOADED, when_asked=end)) as command:
        said = await command.run("load", "qwen3-8b")
    assert said.status == 1
    assert f"qwen3-8b was not loaded: {end.reason}" in said.errors


async def test_a_load_waits_for_memory_too(tmp_path: Path) -> None:
    waiting = replace(UNLOADED, wanted=True)
    async with _command(tmp_path, Lives(UNLOADED, when_asked=waiting)) as command:
        with terminal(command.hearth, "load", "qwen3-8b") as screen:
            await screen.until("waiting for memory")
            command.router.show(READY)
            assert "qwen3-8b is ready after" in await screen.end()


async def test_no_wait_comes_back_while_it_loads(pool: Command) -> None:
    told = await asyncio.to_thread(pool.hearth.json, "load", "qwen3-8b", "--no-wait")
    assert (told["model"]["state"], told["model"]["fraction"]) == ("loading", 0.4)


async def test_ctrl_c_leaves_it_loading_and_says_so(pool: Command) -> None:
    with terminal(pool.hearth, "load", "qwen3-8b") as screen:
        await screen.until("reading weights ━━━━━━╌╌╌╌╌╌╌╌╌╌ 40%")
        shown = await screen.interrupt()
    assert "qwen3-8b goes on loading." in shown
    assert "hearth unload qwen3-8b" in shown
    assert (screen.status, pool.router.models["qwen3-8b"].state) == (130, "loading")


async def test_unload_says_what_ends_first(pool: Command) -> None:
    pool.router.show(READY)
    said = await pool.run("unload", "qwen3-8b")
    assert (said.status, said.words) == (0, "✓ qwen3-8b is unloaded.\n")
    assert "2 turns in flight will end first." in said.errors
    assert "kept warm" in said.errors
    assert pool.router.told(UnloadAsked)


@pytest.mark.parametrize("verb", ["load", "unload"])
async def test_a_mistyped_name_is_told_what_it_may_mean(pool: Command, verb: str) -> None:
    said = await pool.run(verb, "Qwen3-8")
    assert said.status == 2
    assert "There is no model Qwen3-8 in this pool." in said.errors
    assert "Did you mean qwen3-8b?" in said.errors
    assert "Its models: qwen3-8b, llama3.2" in (await pool.run(verb, "zzz")).errors
    upstream = await pool.run(verb, "llama3.2")
    assert (upstream.status, "runs by itself" in upstream.errors) == (2, True)


async def test_another_port_for_a_pool_that_runs_is_refused_in_words(pool: Command) -> None:
    paths = PoolPaths(pool.hearth.home)
    paths.config.write_text("{}")
    said = await pool.run("up", "--port", "9999")
    paths.config.unlink()
    assert said.status == 2
    assert f"runs already, with HTTP on port {pool.hearth.http_port}, not on 9999." in said.errors
    assert "up --port 9999" in said.errors


async def test_a_chat_shows_what_it_waits_for_and_ctrl_c_ends_the_answer_alone(pool: Command) -> None:
    with terminal(pool.hearth, "chat", "--model", "qwen3-8b") as screen:
        await screen.until("you: ")
        screen.type("Hello\n")
        turn = await pool.router.hear(TurnArrived)
        commit = Commit(turn.turn, GATEWAY, 12.0, CAUSE)
        await pool.router.tell(commit, Queue(turn.turn, GATEWAY, 1, 9.0, CAUSE, "reading weights", 0.4))
        await screen.until("loading qwen3-8b: reading weights ━━━━━━╌╌╌╌╌╌╌╌╌╌ 40%")
        screen.type("\x03")
        await pool.router.hear(TurnCancelled)
        await screen.until("Stopped.")
        await screen.until("you: ")
        screen.type("\n")
        await screen.end()
    assert screen.status == 0


def test_a_turn_that_waits_for_a_place_is_told_its_number() -> None:
    told = {"state": "waiting", "position": 3, "estimate_s": 21.4}
    assert waiting_words("m", told) == "waiting for a place: number 3, about 21 s"
