"""The planner: from what is wanted of a model and what the nodes offer to one layout, or why there is none.

Of all that could run, in this order: on accelerators rather than processors; the largest variant; the
fewest nodes; the fewest ranks; tensor rather than pipeline parallel; the node with most room.

Where memory is short, there are fewer slots than usual, unless the owner wrote how many, then fewer states
for each to go back to; only then a smaller variant, or none.

The context is the one wanted.  Else KV memory gets what is free, up to `slots` whole windows, but no more
than a share of what its nodes offer to models, so that several models can live together; never less than
USEFUL_TOKENS, or where no variant gets that, SHORT_TOKENS.  Cards are given whole, and the KV memory gets
what the weights leave of them; a llama.cpp of less than TINY_BYTES runs on the processors beside the cards.

All that is chosen in the memory that could be free; what is free now decides only on which nodes it runs,
or that it has to wait.  So a model is the same each time, whatever else is loaded.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from cluster.core.footprint import Run, rank_footprint
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, ModelWish, NodeFacts, NoRoom, Shard, Variant
from cluster.core.no_room import explain
from cluster.core.places import Room, Split, allowed, engines_for, splits
from cluster.core.slots import Slots, choices

STEP_TOKENS = 256
"""Contexts are multiples of this; llama.cpp rounds to it."""

USEFUL_TOKENS = 8192
SHORT_TOKENS = 2048
KV_SHARE = 4
"""KV memory that nobody asked for is at most one in so many bytes of a node; see also `together`."""

TINY_BYTES = 2**30
"""A model this small is not worth a card."""

SMALL_PARAMS = 7_000_000_000
FEW_BITS = 4.0


@dataclass(frozen=True, slots=True)
class _Place:
    """A variant split over certain nodes; `context_tokens` the least it must hold."""

    variant: Variant
    engine: EngineKind
    split: Split
    rooms: tuple[Room, ...]
    kv_type: str
    slots: Slots
    context_tokens: int

    def run(self, context_tokens: int) -> Run:
        split = self.split
        return Run(
            self.engine,
            context_tokens,
            self.kv_type,
            split.tensor_parallel,
            split.pipeline_parallel,
            split.ranks_per_node,
            split.num_cards > 0,
            self.slots.num_slots,
            self.slots.num_checkpoints,
        )

    def node_bytes(self, context_tokens: int) -> int:
        return rank_footprint(self.variant, self.run(context_tokens)).num_bytes * self.split.ranks_per_node

    def card_bytes(self, context_tokens: int) -> int:
        return -(-self.node_bytes(context_tokens) // max(self.split.num_cards, 1))

    def fits(self, context_tokens: int) -> bool:
        num_cards = self.split.num_cards
        if num_cards:
            needed = self.card_bytes(context_tokens)
            if any(room.num_cards_with(needed) < num_cards for room in self.rooms):
                return False
        return self.node_bytes(context_tokens) <= min(room.free_bytes for room in self.rooms)

    def kv_bytes(self, context_tokens: int) -> int:
        return rank_footprint(self.variant, self.run(context_tokens)).kv_bytes * self.split.ranks_per_node

    def is_tiny(self) -> bool:
        return self.engine is EngineKind.LLAMACPP and self.node_bytes(self.context_tokens) < TINY_BYTES

    def wastes_cards(self) -> bool:
        return self.split.num_cards > 0 and self.is_tiny()

    def lacks_cards(self) -> bool:
        """On processors, though there are cards."""
        wants_cards = self.engine is not EngineKind.FAKE and self.rooms[0].facts.num_gpus > 0
        return wants_cards and self.split.num_cards == 0 and not self.is_tiny()

    def rank(self) -> tuple[object, ...]:
        """The lower the better.  MLX over processors spreads; the others stay together."""
        facts, split = self.rooms[0].facts, self.split
        accelerated = split.num_cards > 0 or facts.metal
        processor_order = [EngineKind.LLAMACPP, EngineKind.FAKE, EngineKind.VLLM, EngineKind.MLX]
        return (
            0 if accelerated else 1 + processor_order.index(self.engine),
            -self.variant.weights_bytes,
            split.ranks_per_node if self.engine is EngineKind.MLX else 0,
            split.num_nodes,
            split.num_cards,
            split.tensor_parallel * split.pipeline_parallel,
            split.pipeline_parallel,
            list(EngineKind).index(self.engine) if self.engine is not EngineKind.VLLM else -1,
            -min(room.free_bytes for room in self.rooms),
            self.variant.source,
            [room.node for room in self.rooms],
        )


def plan(
    wish: ModelWish,
    nodes: Mapping[NodeId, NodeFacts],
    free: Mapping[NodeId, int],
    most: Mapping[NodeId, int] | None = None,
    kv_share: int = KV_SHARE,
) -> Layout | NoRoom:
    """Chooses; deterministic.  `free`: bytes of each node's `models_bytes` that no deployment holds; `most`:
    those that none would hold with all unloaded that may be, None: no more than now."""
    rooms = _rooms(nodes, free)
    best = _best(wish, _rooms(nodes, most) if most is not None else rooms)
    if best is None:
        empty = _rooms(nodes, {node: facts.models_bytes for node, facts in nodes.items()})
        return explain(wish, rooms, _refused_tokens(wish), ever=_best(wish, empty) is not None)
    tokens = _context_tokens(wish, best, kv_share)
    place = _moved(wish, best, rooms)
    if place.fits(tokens):
        return _layout(place, tokens)
    return explain(replace(wish, variants=(best.variant,)), rooms, tokens, ever=True, slots=best.slots)


def _rooms(nodes: Mapping[NodeId, NodeFacts], free: Mapping[NodeId, int]) -> tuple[Room, ...]:
    rooms = [Room(node, facts, min(free.get(node, 0), facts.models_bytes)) for node, facts in nodes.items()]
    return tuple(sorted(rooms, key=lambda room: (-room.free_bytes, room.node)))


def _best(wish: ModelWish, rooms: tuple[Room, ...]) -> _Place | None:
    for floor_tokens in (USEFUL_TOKENS, SHORT_TOKENS):
        places = [place for each in _places(wish, rooms, floor_tokens) if (place := _roomy(wish, each))]
        if places:
            return min(places, key=_Place.rank)
    return None


def _roomy(wish: ModelWish, place: _Place) -> _Place | None:
    """With as many slots and checkpoints as fit; None: not even with the fewest."""
    ways = [replace(place, slots=each) for each in choices(wish, place.variant, place.engine)]
    if not ways[-1].fits(place.context_tokens):
        return None
    return next(way for way in ways if way.fits(place.context_tokens))


def _moved(wish: ModelWish, place: _Place, rooms: tuple[Room, ...]) -> _Place:
    """The same on the roomiest nodes of its kind."""
    usable = (room for room in allowed(wish, rooms, place.engine) if room.kind == place.rooms[0].kind)
    return replace(place, rooms=_first(usable, place.split))


def _first(alike: Iterable[Room], split: Split) -> tuple[Room, ...]:
    return tuple(sorted(islice(alike, split.num_nodes), key=lambda room: room.node))


def _places(wish: ModelWish, rooms: tuple[Room, ...], floor_tokens: int) -> Iterator[_Place]:
    for variant in wish.variants:
        for engine in engines_for(wish, variant):
            slots = choices(wish, variant, engine)[0]
            tokens = _least_tokens(wish, variant, slots, floor_tokens)
            usable = allowed(wish, rooms, engine)
            for kind in sorted({room.kind for room in usable}):
                alike = [room for room in usable if room.kind == kind]
                for split in splits(wish, variant, engine, alike[0].facts, len(alike)):
                    first = _first(alike, split)
                    place = _Place(variant, engine, split, first, wish.kv_type, slots, tokens)
                    if not place.wastes_cards() and not place.lacks_cards():
                        yield place


def _most_tokens(variant: Variant, slots: Slots) -> int:
    return _rounded_up(slots.num_slots * variant.window_tokens)


def _least_tokens(wish: ModelWish, variant: Variant, slots: Slots, floor_tokens: int) -> int:
    wanted = wish.context_tokens or min(floor_tokens, variant.window_tokens)
    return min(_rounded_up(wanted), _most_tokens(variant, slots))


def _refused_tokens(wish: ModelWish) -> int:
    """The least that the first variant must hold."""
    pairs = ((variant, engine) for variant in wish.variants for engine in engines_for(wish, variant))
    pair = next(pairs, None)
    return _least_tokens(wish, pair[0], choices(wish, *pair)[0], SHORT_TOKENS) if pair else 0


def _rounded_up(tokens: int) -> int:
    return -(-tokens // STEP_TOKENS) * STEP_TOKENS


def _context_tokens(wish: ModelWish, place: _Place, kv_share: int) -> int:
    least = place.context_tokens
    if wish.context_tokens is not None:
        return least
    steps = range(least, _most_tokens(place.variant, place.slots) + 1, STEP_TOKENS)
    if place.split.num_cards:
        return _largest(steps, place.fits)
    share_bytes = min(room.facts.models_bytes for room in place.rooms) // kv_share
    return _largest(steps, lambda tokens: place.fits(tokens) and place.kv_bytes(tokens) <= share_bytes)


def _largest(steps: range, holds: Callable[[int], bool]) -> int:
    """The largest step for which `holds`, which once false stays so; the first where none does."""
    return steps[max(bisect_right(steps, False, key=lambda tokens: not holds(tokens)) - 1, 0)]


def _layout(place: _Place, context_tokens: int) -> Layout:
    variant, split = place.variant, place.split
    return Layout(
        place.engine,
        variant.source,
        tuple(_shard(place, room, context_tokens) for room in place.rooms),
        context_tokens,
        min(variant.window_tokens, context_tokens),
        variant.quantisation,
        split.tensor_parallel,
        split.pipeline_parallel,
        flags_of(variant),
        place.slots.num_slots,
        place.slots.num_checkpoints,
    )


def _shard(place: _Place, room: Room, context_tokens: int) -> Shard:
    num_cards, num_bytes = place.split.num_cards, place.node_bytes(context_tokens)
    if num_cards:
        num_bytes = max(num_bytes, min(num_cards * room.card_bytes, room.free_bytes))
    return Shard(room.node, num_bytes, place.split.ranks_per_node, num_cards)


def flags_of(variant: Variant) -> frozenset[str]:
    """`small`, `heavily-quantised`: as far as the variant tells."""
    flags: set[str] = set()
    if 0 < variant.num_params < SMALL_PARAMS:
        flags.add("small")
    if 0 < variant.bits_per_weight < FEW_BITS:
        flags.add("heavily-quantised")
    return frozenset(flags)
