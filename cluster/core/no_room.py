"""Why there is no layout, in the words and numbers of who asked."""

from dataclasses import replace

from cluster.core.footprint import Run, rank_footprint
from cluster.core.layout import EngineKind, ModelWish, NoRoom, Variant
from cluster.core.places import Room, allowed, allowed_ranks, engines_for, has_labels
from cluster.core.slots import Slots, choices


def explain(
    wish: ModelWish, rooms: tuple[Room, ...], context_tokens: int, *, ever: bool, slots: Slots | None = None
) -> NoRoom:
    """`context_tokens`: the least that the first variant must hold.  `slots`: those chosen; None: the
    fewest."""
    wrong = _wrong_wish(wish) or _wrong_nodes(wish, rooms)
    return wrong or _too_little(wish, rooms, context_tokens, ever, slots)


def _wrong_wish(wish: ModelWish) -> NoRoom | None:
    """A setting that no nodes could satisfy."""
    if not wish.variants:
        return NoRoom("There are no weights to run.", "Correct `models[].source`.")
    pairs = [(variant, engine) for variant in wish.variants for engine in engines_for(wish, variant)]
    if not pairs and wish.kv_type != "f16":
        plain = replace(wish, kv_type="f16")
        if any(engines_for(plain, variant) for variant in wish.variants):
            return NoRoom(
                f"kv_type: {wish.kv_type} is not possible for these weights: their engines cannot keep it.",
                "Leave `kv_type` out, or name a GGUF: llama.cpp can.",
            )
    if not pairs:
        formats = ", ".join(sorted({str(variant.format) for variant in wish.variants}))
        return NoRoom(
            f"engine: {wish.engine} does not run {formats} weights.",
            "Leave `engine` out, or name weights of another format (docs/models.md).",
        )
    if any(True for variant, engine in pairs for _ in allowed_ranks(wish, variant, engine)):
        return None
    return _wrong_ranks(wish, *pairs[0])


def _wrong_ranks(wish: ModelWish, variant: Variant, engine: EngineKind) -> NoRoom:
    wanted = {"tensor_parallel": wish.tensor_parallel, "pipeline_parallel": wish.pipeline_parallel}
    alone = ModelWish(wish.variants, wish.engine)
    possible = list(allowed_ranks(alone, variant, engine))
    for place, (setting, number) in enumerate(wanted.items()):
        numbers = sorted({pair[place] for pair in possible})
        if number is not None and number not in numbers:
            listed = ", ".join(map(str, numbers))
            return NoRoom(
                f"{setting}: {number} is not possible for this model on {engine}.",
                f"Possible: {listed}. Or leave `{setting}` out.",
            )
    return NoRoom(
        f"tensor_parallel: {wish.tensor_parallel} with pipeline_parallel: {wish.pipeline_parallel} is not "
        f"possible on {engine}.",
        "Leave one of them out.",
    )


def _without_cards(wish: ModelWish) -> NoRoom | None:
    if wish.pipeline_parallel in (None, 1):
        return None
    return NoRoom(
        f"pipeline_parallel: {wish.pipeline_parallel} is not possible with vLLM on processors.",
        "Set `tensor_parallel` instead.",
    )


def _wrong_nodes(wish: ModelWish, rooms: tuple[Room, ...]) -> NoRoom | None:
    if not rooms:
        return NoRoom("No machine of the pool has told what it offers.", "Wait, or see `hearth status`.")
    labelled = [room for room in rooms if has_labels(wish, room.facts)]
    if not labelled:
        labels = ", ".join(f"{key}: {value}" for key, value in sorted(wish.where.items()))
        return NoRoom(
            f"where: {{{labels}}} matches none of the {len(rooms)} machines that are up.",
            "Correct `where`, label a machine (`node.labels` in its hearth.yaml), or start it.",
        )
    engines = sorted({engine for variant in wish.variants for engine in engines_for(wish, variant)})
    there = [engine for engine in engines if any(engine in room.facts.engines for room in labelled)]
    if there == [EngineKind.VLLM] and not any(room.facts.num_gpus for room in labelled):
        return _without_cards(wish)
    if there:
        return None
    names = ", ".join(room.node for room in labelled)
    return NoRoom(
        f"It runs on {' or '.join(engines)}, which none of the allowed machines has ({names}).",
        "Install it there (docs/models.md), or choose weights for another engine.",
    )


def _too_little(
    wish: ModelWish, rooms: tuple[Room, ...], context_tokens: int, ever: bool, chosen: Slots | None
) -> NoRoom:
    pairs = [(variant, engine) for variant in wish.variants for engine in engines_for(wish, variant)]
    pairs = [pair for pair in pairs if allowed(wish, rooms, pair[1])]
    variant, engine = min(pairs, key=lambda pair: (pair[0].weights_bytes, pair[1]))
    usable = allowed(wish, rooms, engine)
    cards = usable[0].facts.num_gpus > 0
    slots = chosen or choices(wish, variant, engine)[-1]
    run = Run(engine, context_tokens, wish.kv_type, 1, 1, 1, cards, slots.num_slots, slots.num_checkpoints)
    needed = rank_footprint(variant, run)
    roomiest = max(usable, key=lambda room: (room.facts.models_bytes, room.free_bytes, room.node))
    problem = (
        f"{variant.source} needs {_gib(needed.num_bytes)} GiB (weights {_gib(needed.weights_bytes)}, "
        f"KV {_gib(needed.kv_bytes)} for {context_tokens} tokens, buffers {_gib(needed.buffers_bytes)}); "
        f"the roomiest node `{roomiest.node}` has {_gib(roomiest.facts.models_bytes)} GiB, "
        f"{_gib(roomiest.free_bytes)} free"
    )
    return NoRoom(problem + _together(usable), _remedy(wish, ever), ever)


def _together(usable: tuple[Room, ...]) -> str:
    if len(usable) < 2:
        return "."
    all_bytes = sum(room.facts.models_bytes for room in usable)
    free_bytes = sum(room.free_bytes for room in usable)
    return f", all {len(usable)} together {_gib(all_bytes)} GiB, {_gib(free_bytes)} free."


def _remedy(wish: ModelWish, ever: bool) -> str:
    if ever:
        return "Unload another model (`hearth unload`), or wait until one is idle."
    fewer = ", fewer `slots`" if wish.slots and wish.slots > 1 else ""
    return (
        f"Choose a smaller model or quantisation, a smaller `context_tokens`{fewer} or `kv_type: q8_0`, "
        "or add a machine."
    )


def _gib(num_bytes: int) -> str:
    gib = num_bytes / 2**30
    return f"{gib:.1f}" if gib >= 1 or not num_bytes else f"{gib:.3f}"
