"""The gateway dies: its port answers again, and what ran for its clients is not computed on."""

import httpx
import openai
import pytest

from tests.actors.pool import Pool, soon

pytestmark = pytest.mark.timeout(150)


async def test_the_port_answers_again_and_leases_end(pool: Pool) -> None:
    front = pool.front("slow")
    async with pool.openai() as client:
        stream = await client.chat.completions.create(
            model="slow", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        await anext(stream)
        await soon(lambda: front.book()["num_leases"] == 1)
        pool.kill("ray::GatewayActor")
        with pytest.raises(openai.APIConnectionError):
            async for _ in stream:
                pass
        await soon(lambda: front.book()["num_leases"] == 0, timeout_s=3.0)
        await soon(lambda: _answers(pool))
        again = await client.chat.completions.create(
            model="slow", messages=[{"role": "user", "content": "Hello"}], max_tokens=4
        )
    assert again.choices[0].message.content == "000 "


def _answers(pool: Pool) -> bool:
    try:
        return pool.http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
