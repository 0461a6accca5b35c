"""What a front tells of itself and of its ledger."""

from collections.abc import Sequence

from cluster.core.events import ReplicaReady, ReplicaReport
from cluster.core.ids import Cause, LeaseId
from cluster.front.context import FrontContext


def ready(context: FrontContext, endpoint: str) -> ReplicaReady:
    who, facts = context.identity, context.facts
    return ReplicaReady(
        replica=who.replica,
        boot=who.boot,
        deployment=who.deployment,
        node=who.node,
        model=facts.model,
        model_hash=facts.model_hash,
        engine=facts.engine,
        locality=facts.locality,
        endpoint=endpoint,
        capacity=facts.capacity,
        speed=facts.speed,
        features=facts.features,
        cause=Cause(f"ready:{who.replica}"),
        leases=context.book.leases(),
        resident=context.book.resident(),
        weights_bytes=facts.weights_bytes,
        kv_bytes=facts.kv_bytes,
    )


def report(context: FrontContext, ended: Sequence[LeaseId]) -> ReplicaReport:
    return ReplicaReport(
        replica=context.identity.replica,
        boot=context.identity.boot,
        leases=context.book.leases(),
        resident=context.book.resident(),
        ended=tuple(ended),
        cause=Cause(f"report:{context.identity.replica}"),
    )
