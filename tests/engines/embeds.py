"""What a client sees of an embedding, whichever engine computes it: asked by OpenAI's own client."""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from openai import BadRequestError

from cluster.config import ModelConfig
from cluster.core.ids import SessionKey
from cluster.deployments.llamacpp import LlamaCppEngine
from cluster.wire import EmbedRequest
from tests.engines.claims import UNNAMED, Ability, Claim, shows
from tests.engines.kit import Running
from tests.engines.served import served
from tests.support.checkpoints import embedding_gguf

TEXTS = ("one", "two words", "Hello there 🦊, this is a longer text with 42 numbers in it.", "one")


async def vectors_of_llamacpp(gguf: Path) -> Sequence[Sequence[float]]:
    config = ModelConfig.model_validate({"name": "twin", "source": str(gguf), "kv_type": "f32"})
    engine = LlamaCppEngine(config, free_bytes=lambda: 2 * 2**30)
    await engine.start(lambda _: None)
    try:
        return (await engine.embed(EmbedRequest("turn", SessionKey("t", "e"), "twin", TEXTS))).vectors
    finally:
        await engine.stop()


class Embeds:
    """For engines that run the embedding model of `checkpoints`; `running` is their test class's own."""

    claim: Claim = UNNAMED

    async def vectors(self) -> Sequence[Sequence[float]]:
        """Of the texts."""
        vectors = await vectors_of_llamacpp(embedding_gguf())
        assert all(sum(x * x for x in vector) == pytest.approx(1, abs=1e-4) for vector in vectors)
        return vectors

    @shows(Ability.EMBEDDINGS)
    async def test_a_vector_comes_for_each_text(self, running: Running) -> None:
        async with served(running) as pool:
            answer = await pool.openai.embeddings.create(
                model=running.facts.model, input=list(TEXTS), encoding_format="float"
            )
        vectors = [item.embedding for item in answer.data]
        assert [item.index for item in answer.data] == [0, 1, 2, 3]
        assert vectors[0] == pytest.approx(vectors[3], abs=1e-5) != vectors[1]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(TEXTS)
        for vector, wanted in zip(vectors, await self.vectors(), strict=True):
            assert vector == pytest.approx(wanted, abs=1e-5)

    @shows(Ability.EMBEDDINGS)
    async def test_base64_holds_the_same_numbers(self, running: Running) -> None:
        """OpenAI's client asks for it unless it is told otherwise."""
        body = {"model": running.facts.model, "input": TEXTS[2]}
        async with served(running) as pool:
            unsaid = await pool.openai.embeddings.create(model=running.facts.model, input=TEXTS[2])
            _, floats, _ = await pool.post("/v1/embeddings", {**body, "encoding_format": "float"})
            _, packed, _ = await pool.post("/v1/embeddings", {**body, "encoding_format": "base64"})
        data = base64.b64decode(packed["data"][0]["embedding"])
        numbers = struct.unpack(f"<{len(data) // 4}f", data)
        assert list(numbers) == pytest.approx(floats["data"][0]["embedding"], abs=1e-5)
        assert unsaid.data[0].embedding == pytest.approx(list(numbers), abs=1e-5)
        assert packed["usage"] == floats["usage"]

    @shows(Ability.EMBEDDINGS)
    async def test_many_texts_together_may_be_longer_than_the_window(self, running: Running) -> None:
        window = running.facts.capacity.window_tokens
        texts = ["w" * (window // 4)] * 16
        async with served(running) as pool:
            answer = await pool.openai.embeddings.create(model=running.facts.model, input=texts)
        assert len(answer.data) == 16
        assert answer.usage.prompt_tokens >= 4 * window

    @shows(Ability.EMBEDDINGS)
    async def test_a_text_over_the_window_is_refused_and_the_field_named(self, running: Running) -> None:
        window = running.facts.capacity.window_tokens
        async with served(running) as pool:
            whole = await pool.openai.embeddings.create(model=running.facts.model, input="w" * (window - 8))
            with pytest.raises(BadRequestError) as caught:
                await pool.openai.embeddings.create(model=running.facts.model, input=["x", "w" * 2 * window])
        assert len(whole.data) == 1
        assert caught.value.code == "context_length_exceeded"
        assert f"input: This model's maximum context length is {window} tokens" in caught.value.message

    @shows(Ability.EMBEDDINGS)
    async def test_dimensions_are_refused(self, running: Running) -> None:
        async with served(running) as pool:
            with pytest.raises(BadRequestError) as caught:
                await pool.openai.embeddings.create(model=running.facts.model, input="x", dimensions=16)
        assert caught.value.param == "dimensions"


class OwnEmbeds(Embeds):
    """For those that the pool starts itself."""

    @shows(Ability.EMBEDDINGS)
    async def test_a_model_that_embeds_does_not_converse(self, running: Running) -> None:
        async with served(running) as pool:
            with pytest.raises(BadRequestError) as caught:
                await pool.openai.chat.completions.create(
                    model=running.facts.model, messages=[{"role": "user", "content": "Hi"}]
                )
        assert "cannot do: chat" in caught.value.message
