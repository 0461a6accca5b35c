"""How full the ledger was while anyone waited, against what the turns allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.harness.record import Row


@dataclass(slots=True)
class Occupancy:
    """One burst, event by event.  Sizes in tokens.

    `token_seconds`: reserved, and `waiting_s`: for how long, both only while a turn had arrived and not
    started.  `num_over`: moments at which the ledger held more than the replica has.
    """

    num_slots: int
    kv_tokens: int
    arrived: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    token_seconds: float = 0.0
    lease_seconds: float = 0.0
    waiting_s: float = 0.0
    num_over: int = 0
    _held: dict[str, int] = field(default_factory=dict)
    _at_s: float = 0.0

    def take(self, row: Row) -> None:
        self._pass(row["at_s"])
        match row["what"]:
            case "arrived" if row["turn"] not in self.arrived:  # one that waits long is told again
                self.arrived.append(row["turn"])
            case "started":
                if row["turn"] not in self.started:
                    self.started.append(row["turn"])
                    self.sizes.append(row["reserved_tokens"])
                self._held[row["lease"]] = row["reserved_tokens"]
            case "reported" if row["lease"] in self._held:
                self._held[row["lease"]] = row["reserved_tokens"]
            case "ended":
                self._held.pop(row["lease"], None)
        self.num_over += sum(self._held.values()) > self.kv_tokens or len(self._held) > self.num_slots

    def _pass(self, now: float) -> None:
        if len(self.arrived) > len(self.started):
            passed = now - self._at_s
            self.waiting_s += passed
            self.token_seconds += passed * sum(self._held.values())
            self.lease_seconds += passed * len(self._held)
        self._at_s = now

    @property
    def in_use_ratio(self) -> float | None:
        """None where nobody ever waited."""
        allowed = largest_sum(self.sizes, self.num_slots, self.kv_tokens)
        return self.token_seconds / self.waiting_s / allowed if self.waiting_s else None


def largest_sum(sizes: Sequence[int], num: int, most: int) -> int:
    """The largest sum of at most `num` of `sizes` that is not over `most`."""
    reachable: list[set[int]] = [{0}, *(set[int]() for _ in range(num))]
    for size in sizes:
        for count in range(num, 0, -1):
            reachable[count] |= {total + size for total in reachable[count - 1] if total + size <= most}
    return max(max(sums, default=0) for sums in reachable)
