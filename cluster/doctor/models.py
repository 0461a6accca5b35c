"""Whether a configured model could be loaded here, said before anything starts."""

from cluster.config import HearthConfig, ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import Layout, ModelWish, NodeFacts, NoRoom
from cluster.core.plan import plan
from cluster.core.slots import usual_slots
from cluster.doctor.check import Check, fail, ok, warn

HERE = NodeId("this machine")


def check_models(config: HearthConfig, facts: NodeFacts) -> list[Check]:
    """One finding for each model of the config; the guide is taken to be in order."""
    return [check_model(model, facts) for model in config.models]


def check_warm(config: HearthConfig, facts: NodeFacts) -> list[Check]:
    """Whether the models that are kept warm fit here together; nothing to find where one or none is."""
    warm = [model for model in config.models if model.keep_warm and not _elsewhere(model)]
    free, held = facts.models_bytes, []
    for model in warm if len(warm) > 1 else []:
        layout = _layout(model, facts, free)
        if not isinstance(layout, Layout):
            return [_too_warm(model.name, held, layout)] if layout is not None else []
        free -= layout.memory_bytes
        held.append(f"{model.name} {_gib(layout.memory_bytes)}")
    return [ok("Kept warm", f"{', '.join(held)}: {_gib(free)} are left")] if held else []


def _too_warm(name: str, held: list[str], problem: NoRoom) -> Check:
    detail = f"{name} does not fit beside {', '.join(held)}: {problem.problem}"
    return warn("Kept warm", detail, "Take keep_warm from one of them, or give it a smaller context_tokens.")


def _layout(model: ModelConfig, facts: NodeFacts, free_bytes: int) -> Layout | NoRoom | None:
    """None where the files are at fault, which is a finding of its own."""
    from cluster.deployments.engine import EngineFault
    from cluster.deployments.wish import wish_of

    try:
        return plan(wish_of(model), {HERE: facts}, {HERE: free_bytes})
    except EngineFault:
        return None


def _elsewhere(model: ModelConfig) -> bool:
    return model.source.startswith("hf:") or bool(model.where)


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def _doubts(wish: ModelWish, layout: Layout) -> str:
    """What the files leave open of the memory of tokens, and what was assumed."""
    chosen = next(variant for variant in wish.variants if variant.source == layout.source)
    doubts = chosen.shape.doubts if chosen.shape else ()
    return f"; not certain of its KV memory: {'; '.join(doubts)}" if doubts else ""


def _slots(layout: Layout, num: int) -> str:
    """With their checkpoints, where these are fewer than usual."""
    words = f"{num} slot{'s' * (num != 1)}"
    kept, usual = layout.num_checkpoints, usual_slots(layout.engine).num_checkpoints
    if kept is None or kept >= usual:
        return words
    return f"{words}, {kept} checkpoint{'s' * (kept != 1)} a slot (usually {usual})"


def check_model(model: ModelConfig, facts: NodeFacts) -> Check:
    """Looks at the model's files and at the memory it will need.  Files that a hub has are not looked at."""
    name = f"Model {model.name}"
    if model.engine == "fake" or model.source.startswith("hf:"):
        return ok(name, model.source)
    from cluster.deployments.engine import EngineFault
    from cluster.deployments.wish import wish_of

    try:
        wish = wish_of(model)
    except EngineFault as fault:
        return fail(name, fault.problem, fault.remedy)
    layout = plan(wish, {HERE: facts}, {HERE: facts.models_bytes})
    if isinstance(layout, Layout):
        words = f"{layout.quantisation} on {layout.engine} in {_gib(layout.memory_bytes)} of"
        room = f"{_gib(facts.models_bytes)}, room for {layout.context_tokens:,} tokens"
        room += f" in {_slots(layout, layout.num_slots)}" if layout.num_slots else ""
        flags = f" ({', '.join(sorted(layout.flags))})" if layout.flags else ""
        return ok(name, f"{words} {room}{flags}{_doubts(wish, layout)}")
    if model.where or len(wish.variants[0].tensor_parallel) > 1:
        return warn(name, f"not on this machine alone: {layout.problem}", layout.remedy)
    return fail(name, layout.problem, layout.remedy)
