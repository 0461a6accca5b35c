"""The machine: events in, commands out, one writer, no clock.

    handle(event, now) -> commands

`now` is the caller's monotonic clock in seconds.  Nothing awaits, nothing fails: an event is a fact, and
one that no longer means anything (a turn that is over, an earlier boot) changes nothing.

The work of a `handle` is: take the fact in; then, if room may have appeared, see which models shall come and
go, and look through the queue.
"""

from typing import assert_never

from cluster.core import clock, life, replicas, turns
from cluster.core.booking import Plans
from cluster.core.check import check_state
from cluster.core.commands import Command
from cluster.core.context import Context, Limits
from cluster.core.events import (
    DeploymentDeclared,
    DeploymentLoading,
    DeploymentWithdrawn,
    DrainAsked,
    Event,
    ExtensionAsked,
    FirstToken,
    GatewayUp,
    GrantRefused,
    LeaseEnded,
    LeaseStarted,
    LoadAsked,
    LoaderReport,
    LoadFailed,
    NodeGone,
    NodeReport,
    NodeUp,
    ReplicaDraining,
    ReplicaGone,
    ReplicaReady,
    ReplicaReport,
    StreamLost,
    Tick,
    TurnArrived,
    TurnCancelled,
    TurnFinished,
    TurnMeasured,
    UnloadAsked,
)
from cluster.core.ids import ReplicaId
from cluster.core.placement import Policy, nearest_prefix
from cluster.core.plan import plan
from cluster.core.schedule import place_waiting
from cluster.core.sight import view_of
from cluster.core.swap import SwapPolicy, batched
from cluster.core.together import Planner
from cluster.core.view import PoolView
from cluster.core.waiting import tell_waiting


class RouterMachine:
    """Decides where every turn lives, and which models are loaded.  `epoch` is the router's; leases are
    named after it."""

    def __init__(
        self,
        epoch: int,
        policy: Policy = nearest_prefix,
        limits: Limits | None = None,
        planner: Planner = plan,
        swapping: SwapPolicy = batched,
    ) -> None:
        self._ctx = Context(epoch, policy, limits or Limits(), Plans(planner), swapping)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Takes one event in and answers what is to be done, in order."""
        ctx = self._ctx
        if ctx.state.began_at is None:
            ctx.state.began_at = now
        self._take_in(event, now)
        if ctx.dirty or isinstance(event, Tick):
            life.review(ctx, event.cause, now)
        if ctx.dirty:
            place_waiting(ctx, event.cause, now)
        if isinstance(event, Tick | TurnArrived):
            tell_waiting(ctx, event.cause, now)
        commands, ctx.commands = ctx.commands, []
        return commands

    def _take_in(self, event: Event, now: float) -> None:  # noqa: C901, PLR0915 - one line an event
        ctx = self._ctx
        match event:
            case GatewayUp():
                turns.gateway_up(ctx, event, now)
            case TurnArrived():
                turns.arrived(ctx, event, now)
            case TurnMeasured():
                turns.measured(ctx, event, now)
            case FirstToken():
                turns.first_token(ctx, event, now)
            case TurnFinished():
                turns.finished(ctx, event, now)
            case TurnCancelled():
                turns.cancelled(ctx, event, now)
            case GrantRefused():
                turns.refused(ctx, event, now)
            case StreamLost():
                turns.lost(ctx, event, now)
            case ReplicaReady():
                replicas.ready(ctx, event, now)
            case ReplicaReport():
                replicas.report(ctx, event, now)
            case ReplicaDraining():
                replicas.draining(ctx, event, now)
            case ReplicaGone():
                replicas.gone(ctx, event, now)
            case LeaseStarted():
                replicas.lease_started(ctx, event, now)
            case ExtensionAsked():
                replicas.extension_asked(ctx, event, now)
            case LeaseEnded():
                replicas.lease_ended(ctx, event, now)
            case Tick():
                clock.tick(ctx, event, now)
            case NodeUp():
                replicas.node_up(ctx, event, now)
            case NodeReport():
                replicas.node_report(ctx, event, now)
            case NodeGone():
                replicas.node_gone(ctx, event, now)
            case DeploymentDeclared():
                replicas.declared(ctx, event, now)
            case DeploymentWithdrawn():
                replicas.withdrawn(ctx, event, now)
            case DrainAsked():
                replicas.drain_asked(ctx, event, now)
            case LoadAsked():
                life.load_asked(ctx, event, now)
            case UnloadAsked():
                life.unload_asked(ctx, event, now)
            case LoaderReport():
                life.loader_report(ctx, event, now)
            case LoadFailed():
                life.load_failed(ctx, event, now)
            case DeploymentLoading():
                life.loading(ctx, event, now)
            case _:
                assert_never(event)

    def check(self) -> None:
        """Raises AssertionError where an invariant is broken."""
        check_state(self._ctx)

    def knows(self, replica: ReplicaId) -> bool:
        """Whether anything could still be said to it."""
        state = self._ctx.state
        return replica in state.replicas or replica in state.silent

    def view(self, now: float) -> PoolView:
        """What people see; a copy, at no cost to decisions."""
        return view_of(self._ctx, now)
