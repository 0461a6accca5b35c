"""Drives a machine by hand: short ways to say what happened and to read what is to be done."""

from dataclasses import dataclass, field
from typing import TypeVar

from cluster.core.commands import Command, Place
from cluster.core.context import Limits
from cluster.core.events import (
    DeploymentDeclared,
    Event,
    GatewayUp,
    LeaseEnded,
    LeaseStarted,
    ReplicaReady,
    ReplicaReport,
    Tick,
    TurnArrived,
    TurnFinished,
)
from cluster.core.facts import (
    Capacity,
    Feature,
    LeaseView,
    Locality,
    Speed,
)
from cluster.core.ids import (
    BootId,
    Cause,
    DeploymentId,
    GatewayId,
    LeaseId,
    NodeId,
    ReplicaId,
    SessionKey,
    TurnId,
)
from cluster.core.machine import RouterMachine

Kind = TypeVar("Kind")
CAUSE = Cause("test")


@dataclass
class Drive:
    """`said` holds every command so far; `check()` runs after every event."""

    limits: Limits = field(default_factory=Limits)
    now: float = 0.0
    said: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.booked: dict[str, LeaseView] = {}
        self.machine = RouterMachine(1, limits=self.limits)

    def tell(self, event: Event) -> list[Command]:
        commands = self.machine.handle(event, self.now)
        self.machine.check()
        self.said += commands
        return commands

    def declare(self, model: str = "m", locality: Locality = Locality.LOCAL) -> None:
        self.tell(DeploymentDeclared(DeploymentId(model), model, locality, CAUSE))

    def ready(
        self,
        name: str = "r",
        *,
        model: str = "m",
        kv_tokens: int = 1000,
        num_slots: int = 4,
        window_tokens: int = 1000,
        block_tokens: int = 1,
        locality: Locality = Locality.LOCAL,
        features: frozenset[Feature] = frozenset({Feature.CHAT, Feature.MEASURE}),
        boot: str = "b",
        speed: Speed = Speed(1000.0, 100.0),  # noqa: B008 - frozen
    ) -> list[Command]:
        capacity = Capacity(kv_tokens, num_slots, window_tokens, block_tokens)
        return self.tell(
            ReplicaReady(
                replica=ReplicaId(name),
                boot=BootId(boot),
                deployment=DeploymentId(model),
                node=NodeId(f"node of {name}"),
                model=model,
                model_hash="h",
                engine="fake",
                locality=locality,
                endpoint=f"http://{name}",
                capacity=capacity,
                speed=speed,
                features=features,
                cause=CAUSE,
            )
        )

    def arrive(self, name: str, prompt_tokens: int | None = 10, **more: object) -> list[Command]:
        """A turn; `session` and `tenant` are plain names, other fields are TurnArrived's."""
        session = SessionKey(str(more.pop("tenant", "t")), str(more.pop("session", name)))
        fields: dict[str, object] = {
            "turn": TurnId(name),
            "gateway": GatewayId("g"),
            "session": session,
            "model": "m",
            "prompt_bytes": 30,
            "prompt_tokens": prompt_tokens,
            "max_tokens": 10,
            "cause": CAUSE,
        }
        return self.tell(TurnArrived(**{**fields, **more}))  # ty: ignore[invalid-argument-type]

    def start(self, lease: str, prompt_tokens: int = 10, reserved_tokens: int = 20) -> None:
        """The front of replica `r` books a granted lease."""
        place = next(place for place in self.heard(Place) if place.lease == lease)
        self.booked[lease] = LeaseView(place.lease, place.turn, place.session, reserved_tokens)
        started = LeaseStarted(
            ReplicaId("r"), BootId("b"), place.lease, prompt_tokens, reserved_tokens, CAUSE
        )
        self.tell(started)

    def alive(self) -> list[Command]:
        """Gateway and front of replica `r` are there; the front tells its book."""
        self.tell(GatewayUp(GatewayId("g"), CAUSE))
        booked = tuple(self.booked.values())
        return self.tell(ReplicaReport(ReplicaId("r"), BootId("b"), booked, (), (), CAUSE))

    def finish(self, name: str, lease: str, resident_tokens: int = 0, tokens: int = 10) -> list[Command]:
        """The front ends the lease, then the gateway says what it cost."""
        self.booked.pop(lease)
        ended = self.tell(LeaseEnded(ReplicaId("r"), BootId("b"), LeaseId(lease), resident_tokens, CAUSE))
        return ended + self.tell(TurnFinished(TurnId(name), 10, 0, tokens, CAUSE))

    def tick(self, seconds: float = 0.25) -> list[Command]:
        self.now += seconds
        return self.tell(Tick(CAUSE))

    def heard(self, kind: type[Kind]) -> list[Kind]:
        return [command for command in self.said if isinstance(command, kind)]


def only(commands: list[Command], kind: type[Kind]) -> Kind:
    """The one command of this kind among `commands`."""
    found = [command for command in commands if isinstance(command, kind)]
    assert len(found) == 1, commands
    return found[0]
