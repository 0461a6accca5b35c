"""Pieces and views as messages of `hearth.v1`."""

from cluster.core.events import Locality
from cluster.core.view import ModelStatus, PoolView, ReplicaStatus
from cluster.gateway.pieces import Content, Finished, Piece, Placed, Queued, Reasoning, ToolCall
from protos.hearth.v1 import hearth_pb2 as pb

_LOCALITIES = {Locality.LOCAL: pb.LOCALITY_LOCAL, Locality.HOSTED: pb.LOCALITY_HOSTED}
_REASONS = {
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    "tool_calls": pb.FINISH_REASON_TOOL_CALLS,
}


def placement(placed: Placed, session: str) -> pb.Placement:
    locality = _LOCALITIES.get(Locality(placed.locality), pb.LOCALITY_UNSPECIFIED)
    return pb.Placement(node=placed.node, engine=placed.engine, locality=locality, session_id=session)


def response(piece: Piece, where: pb.Placement | None) -> pb.ChatResponse | None:
    """None where the piece is nothing to a gRPC client, whose connection keeps itself alive."""
    match piece:
        case Queued(position, estimate_s, stage, fraction):
            loading = _loading(stage, fraction) if stage else None
            waiting = pb.Waiting(position=position, estimate_s=estimate_s, loading=loading)
            return pb.ChatResponse(waiting=waiting)
        case Placed():
            return pb.ChatResponse(placement=where)
        case Content(text):
            return pb.ChatResponse(content=text)
        case Reasoning(text):
            return pb.ChatResponse(reasoning=text)
        case ToolCall():
            return pb.ChatResponse(tool_call=_tool_call(piece))
        case Finished():
            return pb.ChatResponse(finished=_finished(piece, where))
        case _:
            return None


def _tool_call(piece: ToolCall) -> pb.ToolCallDelta:
    begin = None
    if piece.id is not None or piece.name is not None:
        begin = pb.ToolCall(id=piece.id or "", name=piece.name or "")
    return pb.ToolCallDelta(index=piece.index, begin=begin, arguments=piece.arguments)


def _finished(piece: Finished, where: pb.Placement | None) -> pb.Finished:
    usage = pb.Usage(
        prompt_tokens=piece.usage.prompt_tokens,
        cached_tokens=piece.usage.cached_tokens,
        completion_tokens=piece.usage.completion_tokens,
    )
    return pb.Finished(reason=_REASONS[piece.reason], usage=usage, placement=where)


def models(view: PoolView) -> pb.ListModelsResponse:
    return pb.ListModelsResponse(models=map(model, view.models))


def _loading(stage: str, fraction: float | None) -> pb.Loading:
    return pb.Loading(stage=stage) if fraction is None else pb.Loading(stage=stage, fraction=fraction)


def model(model: ModelStatus) -> pb.Model:
    return pb.Model(
        name=model.model,
        state=model.state,
        reason=model.reason,
        locality=_LOCALITIES[model.locality],
        window_tokens=model.window_tokens,
        features=sorted(model.features),
        num_replicas=model.num_replicas,
        engine=model.engine,
        quantisation=model.quantisation,
        nodes=model.nodes,
        memory_bytes=model.memory_bytes,
        tensor_parallel=model.tensor_parallel,
        pipeline_parallel=model.pipeline_parallel,
        flags=sorted(model.flags),
        loading=_loading(model.stage, model.fraction) if model.state == "loading" else None,
        keep_warm=model.keep_warm,
        managed=model.managed,
        priority=model.priority,
        num_running=model.num_running,
        num_waiting=model.num_waiting,
    )


def cluster(view: PoolView) -> pb.GetClusterResponse:
    nodes = [
        pb.Node(
            name=node.node,
            memory_bytes=node.memory_bytes,
            memory_free_bytes=node.memory_free_bytes,
            models_bytes=node.models_bytes,
            held_bytes=node.held_bytes,
        )
        for node in view.nodes
    ]
    return pb.GetClusterResponse(
        epoch=view.epoch, nodes=nodes, replicas=map(_replica, view.replicas), num_waiting=len(view.queue)
    )


def _replica(replica: ReplicaStatus) -> pb.Replica:
    return pb.Replica(
        name=replica.replica,
        node=replica.node,
        model=replica.model,
        engine=replica.engine,
        locality=_LOCALITIES[replica.locality],
        state=replica.state,
        kv_tokens=replica.capacity.kv_tokens,
        reserved_tokens=replica.reserved_tokens,
        resident_tokens=replica.resident_tokens,
        num_slots=replica.capacity.num_slots,
        num_leases=replica.num_leases,
    )
