"""Whether a configured model could be loaded here, said before anything starts."""

from cluster.config import HearthConfig, ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import Layout, NodeFacts
from cluster.core.plan import plan
from cluster.doctor.check import Check, fail, ok, warn

HERE = NodeId("this machine")


def check_models(config: HearthConfig, facts: NodeFacts) -> list[Check]:
    """One finding for each model of the config; the guide is taken to be in order."""
    return [check_model(model, facts) for model in config.models]


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
        return ok(
            name, f"{layout.quantisation} on {layout.engine}, room for {layout.context_tokens:,} tokens"
        )
    if model.where or len(wish.variants[0].tensor_parallel) > 1:
        return warn(name, f"not on this machine alone: {layout.problem}", layout.remedy)
    return fail(name, layout.problem, layout.remedy)
