"""What runs on this machine already is in the pool too."""

from openai.types.chat import ChatCompletion

from tests.actors.pool import Pool


async def test_a_server_started_by_hand_appears_and_answers(pool: Pool) -> None:
    assert pool.model("by-hand")["locality"] == "local"
    (replica,) = pool.replicas("by-hand")
    assert replica["engine"] == "upstream"
    assert replica["capacity"]["estimated"], "it hides its memory"
    async with pool.openai() as client:
        answer = await client.chat.completions.with_raw_response.create(
            model="by-hand", messages=[{"role": "user", "content": "Hello"}], max_tokens=12
        )
    assert answer.headers["x-hearth-engine"] == "upstream"
    assert answer.headers["x-hearth-locality"] == "local"
    completion = answer.parse()
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 12
