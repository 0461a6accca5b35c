"""The first turns of an MLX are ours: they measure it, and choose how much of a prompt one step computes."""

import time
from contextlib import aclosing

from cluster.core.facts import Speed
from cluster.deployments.engine_http import EngineHttp
from cluster.deployments.warmup import DECODE_TOKENS, MAX_BATCH_S, MIN_BATCH_TOKENS

CHUNK_TOKENS = 512
MAX_CHUNK_TOKENS = 2048
SHORT_TOKENS = 16
SESSION = {"tenant": "", "session": "warm-up"}


async def measure(server: EngineHttp, window_tokens: int) -> Speed:
    """Raises EngineLost and Refused."""
    text = "The quick brown fox jumps over the lazy dog. "
    body = {"text": text, "parse_special": False, "is_start": False}
    piece = (await server.ask("POST", "/tokenize", body))["tokens"]
    # The first turn compiles, and waits until every rank has loaded.
    await _run(server, _prompt(piece, min(SHORT_TOKENS, window_tokens // 2)), 2)
    num_answer = min(DECODE_TOKENS, window_tokens // 4)
    speed = await _run(server, _prompt(piece, min(CHUNK_TOKENS, window_tokens - num_answer - 1)), num_answer)
    await server.ask("POST", "/chunk", {"tokens": fitting_chunk(speed.prefill_tps)})
    return speed


def fitting_chunk(prefill_tps: float) -> int:
    """The largest power of two of prompt tokens that take no more than a second."""
    chunk = MAX_CHUNK_TOKENS
    while chunk > MIN_BATCH_TOKENS and chunk > prefill_tps * MAX_BATCH_S:
        chunk //= 2
    return chunk


def _prompt(piece: list[int], num_tokens: int) -> list[int]:
    return (piece * (num_tokens // len(piece) + 1))[:num_tokens]


async def _run(server: EngineHttp, ids: list[int], num_answer: int) -> Speed:
    body = {**SESSION, "turn": "warm-up", "ids": ids, "max_tokens": num_answer, "ignore_end": True}
    at, num_told = [time.perf_counter()], 0
    async with aclosing(server.stream("/generate", {**body, "sampling": {"temperature": 0.0}})) as events:
        async for event in events:
            if "ids" in event:
                num_told += len(event["ids"])
                at.append(time.perf_counter())
    await server.ask("POST", "/evict", SESSION)
    prefill_s, decode_s = at[1] - at[0], max(at[-1] - at[1], 1e-6)
    return Speed(len(ids) / prefill_s, max(num_told - 1, 1) / decode_s)
