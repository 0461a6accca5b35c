"""An embedding request: one place, one answer; it is asked again elsewhere until one comes."""

from dataclasses import dataclass

from cluster.core.events import Feature, Privacy, TurnArrived
from cluster.core.ids import Cause, TurnId
from cluster.gateway.fronts import FrontLost, FrontRefused
from cluster.gateway.pieces import Committed, Queued, Usage
from cluster.gateway.relay import NOT_BOOKED, error_of, is_clients_fault
from cluster.gateway.turns import Turns
from cluster.gateway.waiting import Grant, Waiting, waiting
from cluster.ports import RouterAway
from cluster.wire import Embeddings, EmbedRequest, Failed, encode_request


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and where they were computed."""

    embeddings: Embeddings
    node: str
    engine: str
    locality: str


async def embed(turns: Turns, request: EmbedRequest, privacy: Privacy) -> Embedded:
    """Raises HearthError."""
    turns.admit()
    body = encode_request(request)
    async with waiting(turns.link, _arrival(turns, request, privacy), _unknown, turns.limits.wait) as turn:
        while True:
            grant = await turn.place(_nobody)
            try:
                answer = await turns.fronts.embed(grant.place.endpoint, grant.ticket, body)
            except FrontRefused as refusal:
                _refused(turn, grant, refusal.failed)
            except FrontLost:
                turn.lost(grant, None, 0, preempted=False)
            else:
                turn.finished(Usage(answer.prompt_tokens, 0, 0))
                place = grant.place
                return Embedded(answer, place.node, place.engine, await _locality(turns, grant))


def _arrival(turns: Turns, request: EmbedRequest, privacy: Privacy) -> TurnArrived:
    return TurnArrived(
        turn=TurnId(request.turn),
        gateway=turns.link.gateway,
        session=request.session,
        model=request.model,
        prompt_bytes=sum(len(text.encode()) for text in request.inputs),
        cause=Cause(request.turn),
        max_tokens=1,
        privacy=privacy,
        needs=frozenset({Feature.EMBEDDINGS}),
        patience_s=turns.limits.patience_s,
    )


def _refused(turn: Waiting, grant: Grant, failed: Failed) -> None:
    if is_clients_fault(failed):
        raise error_of(failed)
    if failed.code in NOT_BOOKED:
        turn.refused(grant, failed.code, failed.prompt_tokens)
    else:
        turn.lost(grant, None, 0, preempted=False)


async def _locality(turns: Turns, grant: Grant) -> str:
    try:
        view = await turns.link.view(max_age_s=10.0)
    except RouterAway:
        return "unknown"
    found = [one.locality for one in view.replicas if one.replica == grant.place.replica]
    return found[0] if found else "unknown"


async def _unknown(endpoint: str, ticket: str) -> None:
    """Inputs to embed are many prompts: there is no one size to measure."""


async def _nobody(piece: Queued | Committed) -> None:
    """The status line of an embedding waits for the embedding."""
