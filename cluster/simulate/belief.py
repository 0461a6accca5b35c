"""What a policy believes of a lab that is another in truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from cluster.simulate.lab import Node


@dataclass(frozen=True, slots=True)
class Mistakes:
    """By how much a belief is off at most, as a part of the truth; 0.1: from 0.9 to 1.1 of it.

    `memory`: of a node's KV memory.  `speed`: of its prefill, and for itself of its bandwidth.
    """

    memory: float = 0.0
    speed: float = 0.0

    def believed(self, nodes: Sequence[Node], seed: int) -> tuple[Node, ...]:
        """The nodes as a policy takes them: each off by its own chance, the same for every policy."""
        chance = Random(f"believed {seed}")
        return tuple(self._believed(node, chance) for node in nodes)

    def _believed(self, node: Node, chance: Random) -> Node:
        memory, bandwidth, prefill = (
            chance.uniform(1 - most, 1 + most) for most in (self.memory, self.speed, self.speed)
        )
        return replace(
            node,
            kv_bytes=node.kv_bytes * memory,
            bandwidth_bytes_per_s=node.bandwidth_bytes_per_s * bandwidth,
            prefill_tokens_per_s={name: rate * prefill for name, rate in node.prefill_tokens_per_s.items()},
        )


NO_MISTAKES = Mistakes()
