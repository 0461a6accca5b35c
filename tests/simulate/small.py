"""A lab small enough to compute by hand, and an engine that runs until nothing is left."""

import math
from itertools import count

from cluster.simulate.engine import UNDISTURBED, Device, Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import Lab, Model, Node
from cluster.simulate.orders import Orders, Stock

MODEL = Model("m", kv_bytes_per_token=1000, window_tokens=100_000, active_bytes=5e6)
"""With `node`: a decode step takes 5 ms of weights and 1 ms of KV a sequence of `job`, and 4 ms beside."""

NUMBERS = count()
STOCK = Stock()


def node(name: str = "n", kv_bytes: float = 1e9, rate: float = 1000.0, bandwidth: float = 1e9) -> Node:
    return Node(name, kv_bytes, bandwidth, {MODEL.name: rate})


def lab(*names: str) -> Lab:
    return Lab((MODEL,), tuple(node(name) for name in names))


def job(
    session: str = "s",
    input_tokens: int = 950,
    output_tokens: int = 100,
    kept_tokens: int = 0,
    at_s: float = 0.0,
) -> Job:
    return Job(next(NUMBERS), session, MODEL, input_tokens, output_tokens, kept_tokens, at_s)


def engine(
    name: str = "n",
    device: Device = UNDISTURBED,
    orders: Orders = STOCK,
    kv_bytes: float = 1e9,
    rate: float = 1000.0,
) -> Engine:
    return Engine(node(name, kv_bytes, rate), device, orders)


def finish(one: Engine) -> None:
    """Runs all that is here to its end."""
    while one.next_s < math.inf:
        one.step(one.next_s)


def have(one: Engine, session: str, tokens: int) -> None:
    """Leaves so many tokens of the session resident, at no time."""
    before = job(session, tokens - 1, 1)
    one.memory.begin(before, lambda idle: idle)
    one.memory.end(before)
