"""The first turns of a vLLM are ours: they make it ready, and measure it."""

import secrets
import time
from contextlib import aclosing

from cluster.core.facts import Speed
from cluster.deployments.vllm_command import CPU_BATCH_TOKENS
from cluster.deployments.vllm_server import VllmServer
from cluster.deployments.warmup import DECODE_TOKENS
from cluster.wire import JsonObject

SENTENCE = "The quick brown fox jumps over the lazy dog. "
SHORT_TOKENS = 16


async def measure(server: VllmServer, window_tokens: int) -> Speed:
    """Raises EngineLost and Refused."""
    piece = await server.tokenize(SENTENCE, is_start=False)
    num_answer = min(DECODE_TOKENS, window_tokens // 4)
    await _run(server, _prompt(piece, min(SHORT_TOKENS, window_tokens // 2)), 2)
    return await _run(server, _prompt(piece, min(CPU_BATCH_TOKENS, window_tokens - num_answer)), num_answer)


async def measure_embedding(server: VllmServer, window_tokens: int) -> Speed:
    """An embedding is all prompt.  Raises EngineLost and Refused."""
    piece = await server.tokenize(SENTENCE, is_start=False)
    ids = _prompt(piece, min(CPU_BATCH_TOKENS, window_tokens // 2))
    for _ in range(2):
        began = time.perf_counter()
        await server.ask("POST", "/v1/embeddings", {"input": list(ids)})
    tps = len(ids) / (time.perf_counter() - began)
    return Speed(tps, tps)


def _prompt(piece: tuple[int, ...], num_tokens: int) -> list[int]:
    return list((piece * (num_tokens // len(piece) + 1))[:num_tokens])


async def _run(server: VllmServer, ids: list[int], num_answer: int) -> Speed:
    body: JsonObject = {"prompt": ids, "max_tokens": num_answer, "temperature": 0.0, "ignore_eos": True}
    # A salt of its own: nothing of it is found again, and nothing is found that speeds it up.
    body |= {"return_token_ids": True, "cache_salt": secrets.token_hex(16)}
    at, num_told = [time.perf_counter()], 0
    async with aclosing(server.stream("/v1/completions", body)) as chunks:
        async for chunk in chunks:
            if chunk["choices"]:
                num_told += len(chunk["choices"][0]["token_ids"])
                at.append(time.perf_counter())
    prefill_s, decode_s = at[1] - at[0], max(at[-1] - at[1], 1e-6)
    return Speed(len(ids) / prefill_s, max(num_told - 1, 1) / decode_s)
