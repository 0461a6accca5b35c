"""What people see of models that load, and of one that cannot."""

import openai
import pytest

from tests.actors.pool import Pool, soon

pytestmark = pytest.mark.timeout(150)


def test_progress_is_told_while_a_model_loads(pool: Pool) -> None:
    told = [status for status in pool.loading if status["deployment"] == "slow"]
    assert {status["stage"] for status in told} >= {"loading"}
    fractions = [status["fraction"] for status in told if status["stage"] == "loading"]
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] < fractions[-1] <= 1.0
    assert pool.view()["loading"] == []


async def test_a_model_that_cannot_load_says_why_and_is_refused(pool: Pool) -> None:
    async with pool.openai() as client:
        with pytest.raises(openai.APIStatusError, match=r"llama\.cpp could not load"):
            await ask_broken(client)
        model = await soon(lambda: one if (one := pool.model("broken"))["state"] == "failed" else None)
        assert model["num_replicas"] == 0
        assert "llama.cpp could not load" in model["reason"]
        listed = pool.http.get("/v1/models/broken").json()
        assert (listed["state"], listed["reason"]) == ("failed", model["reason"])
        with pytest.raises(openai.APIStatusError, match=r"llama\.cpp could not load") as refused:
            await ask_broken(client)
        assert refused.value.status_code == 503


async def ask_broken(client: openai.AsyncOpenAI) -> object:
    return await client.chat.completions.create(
        model="broken", messages=[{"role": "user", "content": "Hello"}]
    )
