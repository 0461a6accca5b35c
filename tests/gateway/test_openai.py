"""What a client with OpenAI's SDK sees."""

from openai.types.chat import ChatCompletionUserMessageParam

from cluster.deployments.fake import FakeEngine
from tests.gateway.home import home

HELLO = [ChatCompletionUserMessageParam(role="user", content="Grüße, 世界 🔥")]


async def test_an_answer_streams_with_its_usage_and_where_it_was_computed() -> None:
    async with home(FakeEngine()) as pool:
        stream = await pool.openai.chat.completions.create(
            model="fake", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        head = stream.response.headers
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Grüße, 世界 🔥"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == len(text.encode())
    assert usage.prompt_tokens == len(text.encode()) + 3
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert (head["x-hearth-node"], head["x-hearth-engine"]) == ("node-1", "fake")
    assert head["x-hearth-locality"] == "local"
    assert head["x-hearth-session"].startswith("prompt-")
