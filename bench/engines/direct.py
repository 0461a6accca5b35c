"""Each kind of engine, asked directly on its Unix socket with ids: nothing is around it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from bench.harness.client import Address, Reply, ask, get, post
from bench.harness.prompts import Messages

_turns = count(1)
TEXT_S = 60.0


@dataclass(frozen=True, slots=True)
class Direct:
    """`ids`: renders and tokenizes, as the engine itself does.  `request`: a greedy turn over ids, streamed.
    `text_of`: the text that an event of its stream adds."""

    ids: Callable[[Address, Messages], Any]
    request: Callable[[list[int], int], bytes]
    text_of: Callable[[dict[str, Any]], str]


async def told(address: Address, request: bytes) -> Any:  # noqa: ANN401
    reply = await ask(address, request, TEXT_S)
    if reply.status != 200:
        raise RuntimeError(f"the engine answered {reply.status}: {reply.body[:300]!r}")
    return json.loads(reply.body)


async def _llamacpp_ids(address: Address, messages: Messages) -> list[int]:
    prompt = (await told(address, post("/apply-template", {"messages": messages})))["prompt"]
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return (await told(address, post("/tokenize", body)))["tokens"]


def _llamacpp_request(ids: list[int], max_tokens: int) -> bytes:
    body = {"prompt": ids, "n_predict": max_tokens, "temperature": 0, "stream": True, "cache_prompt": True}
    return post("/completion", body)


async def _vllm_ids(address: Address, messages: Messages) -> list[int]:
    model = (await told(address, get("/v1/models")))["data"][0]["id"]
    body = {"model": model, "messages": messages, "add_generation_prompt": True}
    return (await told(address, post("/tokenize", body)))["tokens"]


def _vllm_request(ids: list[int], max_tokens: int) -> bytes:
    return post(
        "/v1/completions", {"prompt": ids, "max_tokens": max_tokens, "temperature": 0, "stream": True}
    )


async def _mlx_ids(address: Address, messages: Messages) -> list[int]:
    prompt = (await told(address, post("/render", {"messages": messages})))["prompt"]
    body = {"text": prompt, "parse_special": True, "is_start": True}
    return (await told(address, post("/tokenize", body)))["tokens"]


def _mlx_request(ids: list[int], max_tokens: int) -> bytes:
    turn = f"direct-{next(_turns)}"
    body = {"turn": turn, "tenant": "direct", "session": turn, "ids": ids, "max_tokens": max_tokens}
    return post("/generate", {**body, "sampling": {"temperature": 0.0}})


def _vllm_text(event: dict[str, Any]) -> str:
    return event["choices"][0]["text"] if event.get("choices") else ""


DIRECT = {
    "llamacpp": Direct(_llamacpp_ids, _llamacpp_request, lambda event: event.get("content") or ""),
    "vllm": Direct(_vllm_ids, _vllm_request, _vllm_text),
    "mlx": Direct(_mlx_ids, _mlx_request, lambda event: event.get("text") or ""),
}


def seen(reply: Reply, text_of: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """What a client sees of a stream.  Times are seconds after it was sent, but `sent_s`."""
    texts = [(at, text_of(event)) for at, event in reply.events]
    said = [(at, text) for at, text in texts if text]
    return {
        "status": reply.status,
        "sent_s": reply.sent_s,
        "first_token_s": said[0][0] - reply.sent_s if said else None,
        "last_token_s": said[-1][0] - reply.sent_s if said else None,
        "text": "".join(text for _, text in said),
        "error": None if reply.status == 200 and said else reply.body.decode(errors="replace")[:300],
    }


async def num_preemptions(address: Address) -> int:
    """Of a vLLM, since it started."""
    page = (await ask(address, get("/metrics"), TEXT_S)).body.decode()
    lines = (
        line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("vllm:num_preemptions_total")
    )
    return int(sum(float(value) for _, value in lines))
