"""Closed by default: loopback alone, and nobody without the token tells Ray anything."""

import asyncio

import grpc
import httpx
import psutil
import pytest

from cluster.pool.processes import is_loopback
from tests.actors.pool import ENGINE, Pool

pytestmark = pytest.mark.timeout(150)
ASK_S = 10.0
AGENT_PORT = 52365
"""Where Ray's agents take jobs in; Ray offers no other."""

CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
PUSH_TASK = "/ray.rpc.CoreWorkerService/PushTask"
CLOSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED}


async def test_nothing_listens_beyond_this_machine_during_a_turn(pool: Pool) -> None:
    async with pool.openai() as client:
        stream = await client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=800,
            stream=True,
        )
        await anext(stream)
        found = await asyncio.to_thread(pool.listeners)
        await stream.close()
    assert [listener for listener in found if not is_loopback(listener.host)] == []
    titles = {listener.process for listener in found}
    assert {"ray::RouterActor", "ray::GatewayActor", "ray::ServeReplica:tiny:replica"} <= titles
    assert pool.state.http_port in {listener.port for listener in found}


def test_engines_listen_on_files_of_the_pool_alone(pool: Pool) -> None:
    engine = pool.process(ENGINE)
    paths = {socket.laddr for socket in engine.net_connections("unix") if socket.laddr}
    assert {path for path in paths if not path.startswith(str(pool.paths.ray))} == set()
    assert any(path.endswith("engine.sock") for path in paths)
    assert engine.net_connections("inet") == []


def test_ray_refuses_whoever_has_no_token(pool: Pool) -> None:
    token = pool.paths.token.read_text()
    assert _call(pool.state.ray_address, CHECK_ALIVE, token) is grpc.StatusCode.OK
    assert _call(pool.state.ray_address, CHECK_ALIVE, "0" * 64) is grpc.StatusCode.UNAUTHENTICATED
    assert _call(pool.state.ray_address, CHECK_ALIVE) is grpc.StatusCode.UNAUTHENTICATED


def test_no_process_takes_work_from_whoever_has_no_token(pool: Pool) -> None:
    answers = {
        listener: _call(f"127.0.0.1:{listener.port}", PUSH_TASK)
        for process in pool.processes("ray::")
        for listener in pool.listeners()
        if listener.pid == process.pid
    }
    assert {listener for listener, status in answers.items() if status not in CLOSED} == set()
    assert grpc.StatusCode.UNAUTHENTICATED in answers.values()


def test_the_agents_run_no_jobs_for_whoever_has_no_token(pool: Pool) -> None:
    ports = [each.port for each in pool.listeners() if each.process == "ray::DashboardAgent"]
    answers = [answer for port in ports if (answer := _submit(port)) is not None]
    assert [answer.text for answer in answers if "submission_id" in answer.text] == []
    if AGENT_PORT in ports:  # else another pool of this machine has it, and ours does without
        assert 401 in {answer.status_code for answer in answers}


def _call(address: str, method: str, token: str | None = None) -> grpc.StatusCode:
    metadata = [("authorization", f"Bearer {token}")] if token else None
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method).future(b"", timeout=ASK_S, metadata=metadata)
        return call.code()  # waits for the answer


def _submit(port: int) -> httpx.Response | None:
    """None: no HTTP is spoken there."""
    job = {"entrypoint": "true", "runtime_env": {}, "metadata": {}}
    try:
        return httpx.post(f"http://127.0.0.1:{port}/api/job_agent/jobs/", json=job, timeout=5.0)
    except httpx.HTTPError:
        return None


def test_secrets_are_for_their_owner_alone(pool: Pool) -> None:
    for path in (pool.paths.run, pool.paths.door, pool.paths.token):
        assert path.stat().st_mode & 0o077 == 0, path
    token = pool.paths.token.read_text()
    for process in pool.processes():
        assert token not in " ".join(_arguments(process))


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
