"""A lab: nodes with their memory and speeds, and the models they serve, as written down in YAML.

    models:
      - name: gpt-oss-120b
        kv_bytes_per_token: 36864
        window_tokens: 131072
        active_bytes: 3.3e9             # weights that one token of an answer reads
    nodes:
      - {name: studio, machine: m3-ultra-256}                   # a machine of the table below
      - name: tower
        kv_bytes: 22e9                  # memory for KV after weights
        bandwidth_bytes_per_s: 1.3e12
        prefill_tokens_per_s: 5500      # or a rate for each model it serves: {gpt-oss-120b: 5500}

A field beside `machine` wins over the table.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from cluster.config import Name, Strict, checked
from cluster.core.errors import InvalidField

Positive = Annotated[float, Field(gt=0)]

PREFILL_DEPTH_TOKENS = 60_000
"""At this depth a token's prefill takes twice as long: facts of the reference simulation."""

STEP_OVERHEAD_S = 0.004
"""Of each decode step, whatever it reads: facts of the reference simulation."""

WEIGHTS_READ_CAP = 3
"""Sequences of a batch choose different experts, but beyond three the weights read grow little more."""


@dataclass(frozen=True, slots=True)
class Model:
    """`active_bytes`: weights read for one token."""

    name: str
    kv_bytes_per_token: int
    window_tokens: int
    active_bytes: float


@dataclass(frozen=True, slots=True)
class Node:
    """`kv_bytes`: for the KV of all its models.  `prefill_tokens_per_s`: at depth 0, for each it serves."""

    name: str
    kv_bytes: float
    bandwidth_bytes_per_s: float
    prefill_tokens_per_s: Mapping[str, float]

    def prefill_s(self, model: Model, hit_tokens: int, new_tokens: int) -> float:
        """Seconds to prefill `new_tokens` behind `hit_tokens`, undisturbed."""
        depth = (hit_tokens + new_tokens / 2) / PREFILL_DEPTH_TOKENS
        return new_tokens / self.prefill_tokens_per_s[model.name] * (1 + depth)

    def prefilled_tokens(self, model: Model, hit_tokens: int, passed_s: float) -> int:
        """How many tokens behind `hit_tokens` a prefill of so many seconds has done."""
        slow = 1 + hit_tokens / PREFILL_DEPTH_TOKENS
        work = 2 * passed_s * self.prefill_tokens_per_s[model.name] / PREFILL_DEPTH_TOKENS
        return int(PREFILL_DEPTH_TOKENS * (math.sqrt(slow * slow + work) - slow))

    def holds(self, model: Model, tokens: int) -> bool:
        """Whether it serves the model and could hold so much of it, empty."""
        return model.name in self.prefill_tokens_per_s and tokens * model.kv_bytes_per_token <= self.kv_bytes


@dataclass(frozen=True, slots=True)
class Lab:
    models: Sequence[Model]
    nodes: Sequence[Node]

    def with_machine(self, machine: str) -> "Lab":
        """The same lab and one more node, which serves every model.  Raises InvalidField."""
        wish = NodeFile(name=f"added-{len(self.nodes) + 1}-{machine}", machine=machine)
        return replace(self, nodes=(*self.nodes, _node(wish, self.models, "--add")))


@dataclass(frozen=True, slots=True)
class Machine:
    kv_bytes: float
    bandwidth_bytes_per_s: float
    prefill_tokens_per_s: float


MACHINES: Mapping[str, Machine] = {
    "m3-ultra-256": Machine(118e9, 600e9, 1000),
    "spark-128": Machine(42e9, 215e9, 1800),
    "strix-128": Machine(32e9, 190e9, 550),
    "rtx-pro-6000-96": Machine(22e9, 1300e9, 5500),
    "m4-max-128": Machine(28e9, 420e9, 650),
}
"""With gpt-oss-120b loaded, as the reference simulation takes them."""

GPT_OSS_120B = Model("gpt-oss-120b", 36_864, 131_072, 3.3e9)
"""KV from its config: 18 full layers, 8 heads x 64.  Active bytes as the reference simulation takes them."""


class ModelFile(Strict):
    name: Name
    kv_bytes_per_token: Annotated[int, Field(gt=0)]
    window_tokens: Annotated[int, Field(gt=0)]
    active_bytes: Positive


class NodeFile(Strict):
    """A node as it is written down."""

    name: Name
    machine: str | None = None
    kv_bytes: Positive | None = None
    bandwidth_bytes_per_s: Positive | None = None
    prefill_tokens_per_s: Positive | dict[Name, Positive] | None = None


class LabFile(Strict):
    models: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    nodes: Annotated[tuple[NodeFile, ...], Field(min_length=1)]


def parse_lab(body: object, where: str) -> Lab:
    """`body`: what YAML made of the file `where`.  Raises InvalidField naming the first wrong field."""
    file = checked(LabFile, body, where, "See docs/simulate.md.")
    models = tuple(Model(**each.model_dump()) for each in file.models)
    _names_differ([each.name for each in models], f"{where}:models")
    _names_differ([each.name for each in file.nodes], f"{where}:nodes")
    nodes = tuple(_node(each, models, f"{where}:nodes[{at}]") for at, each in enumerate(file.nodes))
    for model in models:
        if not any(node.holds(model, 1) for node in nodes):
            raise InvalidField(f"{where}:models", f"no node serves {model.name}.", "Give a node its rate.")
    return Lab(models, nodes)


def _node(wish: NodeFile, models: Sequence[Model], where: str) -> Node:
    """What is written wins over the table of machines."""
    known = _machine(wish.machine, where)
    rates = wish.prefill_tokens_per_s
    if not isinstance(rates, dict):
        rate = _told(rates, known and known.prefill_tokens_per_s, f"{where}.prefill_tokens_per_s")
        rates = {model.name: rate for model in models}
    unknown = sorted(set(rates) - {model.name for model in models})
    if unknown:
        problem = f"{unknown[0]} is no model of this lab."
        raise InvalidField(f"{where}.prefill_tokens_per_s", problem, "Add it to `models`.")
    bandwidth = wish.bandwidth_bytes_per_s, known and known.bandwidth_bytes_per_s
    return Node(
        wish.name,
        _told(wish.kv_bytes, known and known.kv_bytes, f"{where}.kv_bytes"),
        _told(*bandwidth, f"{where}.bandwidth_bytes_per_s"),
        rates,
    )


def _told(written: float | None, known: "Machine | float | None", where: str) -> float:
    value = known if written is None else written
    if not isinstance(value, float | int):
        raise InvalidField(where, "is missing.", "Write it, or name a known `machine`.")
    return value


def _machine(name: str | None, where: str) -> Machine | None:
    if name is None:
        return None
    if name not in MACHINES:
        known = ", ".join(MACHINES)
        raise InvalidField(f"{where}.machine", f"{name!r} is not known.", f"Known machines: {known}.")
    return MACHINES[name]


def _names_differ(names: Sequence[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidField(where, f"the name {twice[0]!r} is used twice.", "Give each its own.")


def _of(machines: Mapping[str, str]) -> Lab:
    rates = {name: MACHINES[machine] for name, machine in machines.items()}
    return Lab(
        (GPT_OSS_120B,),
        tuple(
            Node(name, one.kv_bytes, one.bandwidth_bytes_per_s, {GPT_OSS_120B.name: one.prefill_tokens_per_s})
            for name, one in rates.items()
        ),
    )


FIVE_NODES = _of(
    {
        "studio": "m3-ultra-256",
        "spark": "spark-128",
        "strix": "strix-128",
        "tower": "rtx-pro-6000-96",
        "macbook": "m4-max-128",
    }
)

QWEN3_CODER_30B = Model("qwen3-coder-30b", 98_304, 262_144, 2.0e9)
"""KV and window from its config: 48 layers, 4 heads x 128.  3.3e9 active weights of 4.85 bits, Q4_K_M."""

_STUDIO_RATES = {GPT_OSS_120B.name: 1000.0, QWEN3_CODER_30B.name: 1620.0}
_RTX_3090_RATES = {QWEN3_CODER_30B.name: 4090.0}
"""The coder's rates are what `cluster.core.speed` estimates in Q4_K_M at 2,048 tokens (2,832 and 7,134),
times 0.574: so much of its estimate for gpt-oss-120b is the M3 Ultra's rate above."""

TWO_STUDIOS_3090 = Lab(
    (GPT_OSS_120B, QWEN3_CODER_30B),
    (
        Node("studio-1", 150e9, 600e9, _STUDIO_RATES),
        Node("studio-2", 150e9, 600e9, _STUDIO_RATES),
        Node("rig", 5e9, 686e9, _RTX_3090_RATES),
    ),
)
"""KV memory after weights.  The rig's bandwidth: 936e9 of its data sheet by 600/819, as the M3 Ultra's."""

LABS: Mapping[str, Lab] = {"five-nodes": FIVE_NODES, "two-studios-3090": TWO_STUDIOS_3090}
"""Labs that come along."""
