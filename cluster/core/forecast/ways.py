"""Each way to lay one model out over the nodes, what it holds and how fast it would be."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cluster.core.footprint import Footprint, Run, rank_footprint
from cluster.core.forecast.ask import Ask, LabNode, Subject, variant_for, work_for
from cluster.core.layout import EngineKind, Variant
from cluster.core.memory.cache import BYTES_PER_NUMBER, Keeping, session_bytes
from cluster.core.memory.config import shape_of_config
from cluster.core.places import REFUSED_KV_TYPES
from cluster.core.slots import usual_slots
from cluster.core.speed.fitted import FITTED
from cluster.core.speed.machines import LINKS, Vendor
from cluster.core.speed.model import Limit, Rig, Split, decode_step, prefill

NEW_TOKENS = 700
"""What a turn of an agent adds to its context."""

ANSWER_TOKENS = 300
"""What it writes.  Both of the order of recorded agent sessions."""

MOST_SESSIONS = 1024
STEP_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """`nodes`: by their places in the ask.  All equal."""

    nodes: tuple[int, ...]
    node: LabNode
    engine: EngineKind
    split: Split

    @property
    def name(self) -> str:
        over = f"{len(self.nodes)} x " if len(self.nodes) > 1 else ""
        return f"{over}{self.node.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Bytes are those of one node, seconds those of a turn on a context of the length asked.

    `resident`: sessions of the asked context that stay in memory.  `largest_tokens`: the longest context that
    one session alone could have, up to the model's window.  `together_tokens_s`: for each of the sessions
    asked, as far as they are resident, while all of them decode.  `turn_s`: what a turn takes on average,
    with the contexts computed anew that are not resident.  `num_checkpoints`: states of each session to go
    back to, kept with llama.cpp.
    """

    way: Way
    quantisation: str
    usable_bytes: int
    weights_bytes: int
    session_bytes: int
    buffers_bytes: int
    resident: int
    largest_tokens: int
    cold_s: float
    warm_s: float
    tokens_s: float
    together_tokens_s: float
    limit: Limit
    prefill_limit: Limit
    network_share: float
    turn_s: float
    num_checkpoints: int

    @property
    def holds(self) -> bool:
        return self.resident > 0


def ways(ask: Ask, subject: Subject) -> Iterator[Way]:
    """A node alone, or equal ones together, on the engines that read the weights and keep KV as asked.

    At least one.
    """
    kinds: dict[LabNode, list[int]] = {}
    for place, node in enumerate(ask.nodes):
        kinds.setdefault(node, []).append(place)
    for node, places in kinds.items():
        is_apple = node.machine.vendor is Vendor.APPLE
        has_mlx = is_apple and _keeps(EngineKind.MLX, ask) and not subject.is_gguf
        alone = EngineKind.MLX if has_mlx else EngineKind.LLAMACPP
        for place in places:
            yield Way((place,), node, alone, Split.NONE)
        together = EngineKind.MLX if is_apple else EngineKind.VLLM
        if node.num_cards > 1 or not _keeps(together, ask) or (is_apple and subject.is_gguf):
            continue
        for num in range(2, len(places) + 1):
            if _shares_heads(subject, num):
                yield Way(tuple(places[:num]), node, together, Split.TENSOR)
            yield Way(tuple(places[:num]), node, together, Split.PIPELINE)


def _keeps(engine: EngineKind, ask: Ask) -> bool:
    return ask.kv_type not in REFUSED_KV_TYPES.get(engine, ())


def _shares_heads(subject: Subject, num: int) -> bool:
    return all(heads % num == 0 for heads in shape_of_config(subject.config).kv_heads)


def outcome(ask: Ask, subject: Subject, way: Way, room: Mapping[int, int]) -> Outcome:
    """`room`: bytes that are left of each node.  Raises InvalidField."""
    variant, work = variant_for(subject, way.engine), work_for(subject, way.engine)
    usable_bytes = min(room[place] for place in way.nodes)
    kept = _checkpoints(ask, way, variant, usable_bytes)
    resident = _most(
        MOST_SESSIONS,
        lambda num: _footprint(ask, way, variant, num * ask.context_tokens, num, kept),
        usable_bytes,
    )
    largest = _most(
        variant.window_tokens // STEP_TOKENS,
        lambda num: _footprint(ask, way, variant, num * STEP_TOKENS, 1, kept),
        usable_bytes,
    )
    held = _footprint(ask, way, variant, max(resident, 1) * ask.context_tokens, max(resident, 1), kept)
    rig, kv_number_bytes = _rig(ask, way), float(BYTES_PER_NUMBER[ask.kv_type])
    depth, together = ask.context_tokens, max(min(resident, ask.sessions), 1)
    cold = prefill(work, rig, FITTED, 0, depth)
    warm = prefill(work, rig, FITTED, depth, NEW_TOKENS)
    alone = decode_step(work, rig, FITTED, (depth,), kv_number_bytes)
    crowd = decode_step(work, rig, FITTED, (depth,) * together, kv_number_bytes)
    absent = max(0.0, 1 - resident / ask.sessions)
    tensor, pipeline = _ranks(way)
    keeping = Keeping(ask.kv_type, way.engine, tensor, pipeline)
    return Outcome(
        way,
        subject.packed(way.engine),
        usable_bytes,
        held.weights_bytes,
        session_bytes(shape_of_config(subject.config), keeping, ask.context_tokens),
        held.buffers_bytes,
        resident,
        largest * STEP_TOKENS,
        cold.seconds,
        warm.seconds,
        1 / alone.seconds,
        1 / crowd.seconds,
        alone.limit,
        cold.limit,
        alone.network_s / alone.seconds,
        warm.seconds + ANSWER_TOKENS * crowd.seconds + absent * cold.seconds,
        kept,
    )


def _checkpoints(ask: Ask, way: Way, variant: Variant, usable_bytes: int) -> int:
    """As many as the engine usually keeps of a session, or those with which one fits."""
    usual = usual_slots(way.engine).num_checkpoints
    needs = ((num, _footprint(ask, way, variant, ask.context_tokens, 1, num)) for num in range(usual, -1, -1))
    return next((num for num, needed in needs if needed.num_bytes <= usable_bytes), 0)


def _rig(ask: Ask, way: Way) -> Rig:
    machine, num = way.node.machine, len(way.nodes)
    if num == 1 and way.node.num_cards > 1:
        return Rig(machine, way.engine, way.node.num_cards, Split.PIPELINE, LINKS["pcie"])
    return Rig(machine, way.engine, num, way.split, ask.link if num > 1 else None)


def _ranks(way: Way) -> tuple[int, int]:
    num = len(way.nodes)
    return (num, 1) if way.split is Split.TENSOR else (1, num)


def _footprint(ask: Ask, way: Way, variant: Variant, tokens: int, num_slots: int, kept: int) -> Footprint:
    tensor, pipeline = _ranks(way)
    on_cards = way.node.machine.vendor is not Vendor.APPLE
    return rank_footprint(
        variant, Run(way.engine, tokens, ask.kv_type, tensor, pipeline, 1, on_cards, num_slots, kept)
    )


def _most(most: int, footprint: Callable[[int], Footprint], usable_bytes: int) -> int:
    """The largest number up to `most` that fits; 0: none does."""
    numbers = range(1, most + 1)
    return bisect_left(numbers, True, key=lambda num: footprint(num).num_bytes > usable_bytes)
