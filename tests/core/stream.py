"""A home with less memory than its models want, under a mixed stream of turns; all in simulated time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from cluster.core.commands import Command, Load, Place, Reject, Unload
from cluster.core.context import Limits
from cluster.core.events import Event, GatewayUp, NodeReport, ReplicaDraining, ReplicaReport
from cluster.core.facts import LoadedView
from cluster.core.ids import BootId, GatewayId, NodeId, ReplicaId
from cluster.core.swap import SwapPolicy
from tests.core.drive import CAUSE
from tests.core.managed import Home

STEP_S = 0.5


@dataclass(frozen=True)
class Work:
    """What comes: a turn of `turn_s` about every `every_s`, of one model after the other by chance."""

    models: Sequence[str]
    every_s: float
    turn_s: float
    load_s: float
    unload_s: float = 1.0
    seed: int = 1


@dataclass
class Outcome:
    """`waits`: seconds until each turn had its place.  `starts`: seconds for which turns waited for a model
    that was not loaded before room was made for it."""

    num_turns: int
    num_placed: int
    num_swaps: int
    num_refused: int
    lost_s: float
    waits: list[float]
    starts: list[float]


@dataclass
class Stream(Home):
    work: Work = Work(("a",), 1.0, 1.0, 1.0)
    ready_at: dict[str, float] = field(default_factory=dict)
    gone_at: dict[str, float] = field(default_factory=dict)
    ends_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    arrived_at: dict[str, float] = field(default_factory=dict)
    placed_at: dict[str, float] = field(default_factory=dict)
    waiting_since: dict[str, float] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)

    def tell(self, event: Event) -> list[Command]:
        commands = super().tell(event)
        for command in commands:
            if isinstance(command, Load):
                view = LoadedView(command.deployment, command.layout)
                if command.deployment not in self.loaded:
                    self.loaded[command.deployment] = view
                    self.ready_at[command.deployment] = self.now + self.work.load_s
            elif isinstance(command, Unload):
                assert not self.books.get(command.deployment), "unloaded with turns in flight"
                self.ready_at.pop(command.deployment, None)
                self.gone_at.setdefault(command.deployment, self.now + self.work.unload_s)
            elif isinstance(command, Place):
                self._place(command)
        return commands

    def _place(self, place: Place) -> None:
        self.placed_at.setdefault(place.turn, self.now)
        self.ends_at[place.turn, place.replica, place.lease] = self.now + self.work.turn_s

    def step(self) -> None:
        self.now = round(self.now + STEP_S, 3)
        self._loader()
        for (turn, model, lease), at in list(self.ends_at.items()):
            if lease not in self.books[model]:
                self.runs(turn, model, lease)
            elif self.now >= at:
                del self.ends_at[turn, model, lease]
                self.ends(turn, model, lease)
        if self.now % 1.0 == 0.0:
            self._heartbeats()
            self._watch()
        self.tick(0.0)

    def _loader(self) -> None:
        for model, at in list(self.ready_at.items()):
            if self.now >= at:
                del self.ready_at[model]
                self.started(model)
        for model, at in list(self.gone_at.items()):
            if self.now >= at:
                del self.gone_at[model]
                del self.loaded[model]
                self.gone(model)
                self.report()

    def _heartbeats(self) -> None:
        self.tell(GatewayUp(GatewayId("g"), CAUSE))
        for name in self.nodes:
            self.tell(NodeReport(NodeId(name), 0, CAUSE))
        for model, boot in list(self.boots.items()):
            leases = tuple(self.books[model].values())
            self.tell(ReplicaReport(ReplicaId(model), BootId(boot), leases, (), (), CAUSE))
            if self.states()[model] == "unloading":
                self.tell(ReplicaDraining(ReplicaId(model), BootId(boot), CAUSE))
        self.report()

    def _watch(self) -> None:
        """Notes, to a second, how long turns wait for the start of a swap."""
        view = self.machine.view(self.now)
        swapping = any(each.state in ("loading", "unloading") for each in view.models)
        for each in view.models:
            waits = each.state == "unloaded" and each.num_waiting > 0 and not swapping
            if waits:
                self.waiting_since.setdefault(each.model, self.now)
            elif each.model in self.waiting_since:
                self.starts.append(self.now - self.waiting_since.pop(each.model))

    def run_for(self, seconds: float) -> Outcome:
        """Turns come for this long; then all of them are answered."""
        chance, num = Random(self.work.seed), 0
        next_at, until = self.now + 5.0, self.now + 5.0 + seconds
        while next_at < until or len(self.placed_at) < num:
            assert self.now < until + 3600.0, "turns wait for ever"
            self.step()
            if next_at < until and self.now >= next_at:
                num += 1
                next_at += chance.expovariate(1.0 / self.work.every_s)
                name = f"t{num}"
                self.arrived_at[name] = self.now
                self.arrive(name, 10, model=chance.choice(self.work.models), patience_s=1e6)
        counters = self.machine.view(self.now).counters
        return Outcome(
            num_turns=num,
            num_placed=len(self.placed_at),
            num_swaps=counters.num_swaps,
            num_refused=len(self.heard(Reject)),
            lost_s=counters.swap_ms / 1000,
            waits=[self.placed_at[name] - at for name, at in self.arrived_at.items()],
            starts=self.starts,
        )


def stream(work: Work, node_gib: float, swapping: SwapPolicy, limits: Limits | None = None) -> Stream:
    """Models of 4 GiB each on one node."""
    made = Stream(limits or Limits(), swapping=swapping, work=work, obeys=False)
    made.node("n1", node_gib)
    for model in work.models:
        made.model(model, 4)
    made.report()
    return made
