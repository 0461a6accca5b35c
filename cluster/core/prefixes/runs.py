"""What the index is made of: runs of blocks in a tree, and for each replica what of them is resident."""

from array import array
from collections.abc import Sequence

from cluster.core.ids import ReplicaId


class Stay:
    """The first `num_blocks` of a run at one replica, in the replica's order of use."""

    __slots__ = ("newer", "num_blocks", "older", "run")

    def __init__(self, run: "Run", num_blocks: int) -> None:
        self.run, self.num_blocks = run, num_blocks
        self.newer = self.older = self

    def link_behind(self, newer: "Stay") -> None:
        """Becomes the next older one of `newer`."""
        self.newer, self.older = newer, newer.older
        newer.older.newer = self
        newer.older = self

    def unlink(self) -> None:
        self.newer.older, self.older.newer = self.older, self.newer
        self.newer = self.older = self


class Run:
    """Blocks that follow each other with no fork between: 8 bytes each.

    A replica holds children only where it holds the whole run.
    """

    __slots__ = ("children", "hashes", "parent", "stays")

    def __init__(self, parent: "Run | None", hashes: Sequence[int]) -> None:
        self.parent, self.hashes = parent, array("Q", hashes)
        self.children: dict[int, Run] = {}
        self.stays: dict[ReplicaId, Stay] = {}

    def num_common(self, hashes: Sequence[int], at: int) -> int:
        """How many blocks of the run `hashes[at:]` begins with, the first one known to be equal.

        A hash covers all before it, so where two are equal, so are those before: halving finds the fork.
        """
        low, high = 1, min(len(self.hashes), len(hashes) - at)
        if self.hashes[high - 1] == hashes[at + high - 1]:
            return high
        while low < high - 1:
            middle = (low + high) // 2
            if self.hashes[middle - 1] == hashes[at + middle - 1]:
                low = middle
            else:
                high = middle
        return low

    def split(self, at: int) -> None:
        """Keeps the first `at` blocks; the others become its only child, resident where they were."""
        tail = Run(self, self.hashes[at:])
        tail.children, self.hashes = self.children, self.hashes[:at]
        for child in tail.children.values():
            child.parent = tail
        self.children = {tail.hashes[0]: tail}
        for replica, stay in self.stays.items():
            if stay.num_blocks > at:
                rest = tail.stays[replica] = Stay(tail, stay.num_blocks - at)
                rest.link_behind(stay)
                stay.num_blocks = at

    def trim(self) -> None:
        """Forgets the blocks that no replica holds any more, and with the last one the run."""
        num_held = max((stay.num_blocks for stay in self.stays.values()), default=0)
        if not num_held and self.parent is not None:
            del self.parent.children[self.hashes[0]]
        if num_held < len(self.hashes):
            self.hashes = self.hashes[:num_held]


class Holder:
    """One replica: how much it holds, and its stays from the least recently used on.

    A use touches the deepest run first, so children are always older than their parents.
    """

    __slots__ = ("capacity_blocks", "num_blocks", "ring")

    def __init__(self, capacity_blocks: int) -> None:
        self.capacity_blocks, self.num_blocks = capacity_blocks, 0
        self.ring = Stay(Run(None, ()), 0)

    @property
    def oldest(self) -> Stay:
        return self.ring.newer

    def touch(self, stay: Stay) -> None:
        """Makes it the most recently used one."""
        stay.unlink()
        stay.link_behind(self.ring)
