"""A lab in which turns come when they came once: not a closed loop, but a journal's arrivals."""

from collections.abc import Callable, Sequence

from cluster.simulate.engine import Device
from cluster.simulate.lab import Lab
from cluster.simulate.policy import Policy
from cluster.simulate.recorded import Recording
from cluster.simulate.world import Life, Load, World


class Replay(World):
    """A turn comes at its time, or when the answer before it is there, if that is later."""

    def __init__(
        self,
        lab: Lab,
        device: Device,
        policy: Policy,
        recording: Recording,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(lab, device, policy, Load((), 0, recording.num_turns, 0), told)
        self._arrived_s: dict[str, Sequence[float]] = {
            each.name: each.arrived_s for each in recording.sessions
        }
        self._recording = recording

    def begin(self) -> None:
        for each in self._recording.sessions:
            life = Life(each.name, each.turns, self.lab.models.index(each.model))
            self.live(life, each.arrived_s[0])

    def go_on(self, life: Life) -> None:
        if life.is_over:
            self.end(life)
        else:
            self.come(max(self.now, self._arrived_s[life.name][life.at]), life)
