"""What a client sees that knows nothing of us but reflection."""

import asyncio
import json
from pathlib import Path

import pytest

from cluster.deployments.fake import FakeEngine
from tests.gateway.home import home

pytestmark = pytest.mark.needs_buf


async def buf(*words: str, cwd: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        "buf", *words, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_buf_curl_chats_by_reflection() -> None:
    ask = {"model": "fake", "messages": [{"role": "ROLE_USER", "content": "Hello"}]}
    async with home(FakeEngine()) as pool:
        url = f"http://127.0.0.1:{pool.gateway.grpc_port}/hearth.v1.HearthService/Chat"
        out = await buf(
            "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", json.dumps(ask), url
        )
    decoder, said, rest = json.JSONDecoder(), [], out.strip()
    while rest:
        response, end = decoder.raw_decode(rest)
        said.append(response)
        rest = rest[end:].strip()
    assert "".join(response.get("content", "") for response in said) == "Hello"
    assert said[-1]["finished"]["reason"] == "FINISH_REASON_STOP"


async def test_the_definitions_are_lint_clean(repository: Path) -> None:
    await buf("lint", cwd=repository / "protos")
