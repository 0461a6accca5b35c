"""The pool's models in OpenAI's shape."""

from cluster.core.errors import ModelNotFound
from cluster.core.view import ModelStatus, PoolView
from cluster.gateway.openai.chat_request import read_model
from cluster.wire import JsonObject


def models_body(view: PoolView, created: int) -> JsonObject:
    return {"object": "list", "data": [_model(model, created) for model in view.models]}


def model_body(view: PoolView, asked: str, created: int) -> JsonObject:
    """Raises ModelNotFound."""
    name, _ = read_model(asked)
    for model in view.models:
        if model.model == name:
            return {**_model(model, created), "id": asked}
    raise ModelNotFound(asked, [model.model for model in view.models])


def _model(model: ModelStatus, created: int) -> JsonObject:
    window = model.window_tokens or None
    body: JsonObject = {
        "id": model.model,
        "object": "model",
        "created": created,
        "owned_by": "hearth",
        "max_model_len": window,
        "context_window": window,
        "locality": model.locality.value,
        "state": model.state,
        "features": sorted(model.features),
        "num_replicas": model.num_replicas,
        "engine": model.engine,
        "quantisation": model.quantisation,
        "flags": sorted(model.flags),
    }
    return {**body, "reason": model.reason} if model.reason else body
