"""Which replica holds how much of a prompt's beginning: a tree of runs of blocks, LRU by replica.

| cost | |
|---|---|
| a look-up | one dictionary access and one halving search for each run of the prompt, not for each block |
| a block | 8 bytes, however many replicas hold it |
| a run | some 600 bytes; sessions that grow without forks have one or two |
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.core.errors import InvalidField
from cluster.core.ids import ReplicaId
from cluster.core.prefixes.runs import Holder, Run, Stay


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks of a prompt that are resident somewhere, from which `num_shares` different prompts go on."""

    num_blocks: int
    num_shares: int


@dataclass(frozen=True, slots=True)
class Found:
    """`num_blocks`: of the longest resident beginning by replica; who holds nothing of it is left out.
    `stretches`: of the longest one anywhere, from the first block on."""

    num_blocks: dict[ReplicaId, int]
    stretches: list[Stretch]

    def own_blocks(self, replica: ReplicaId) -> float:
        """What the replica lacks of the longest one anywhere, each block divided by the prompts it is in."""
        end = sum(stretch.num_blocks for stretch in self.stretches)
        held, own, num_shares = self.num_blocks.get(replica, 0), 0.0, 1
        for stretch in reversed(self.stretches):
            num_shares = max(num_shares, stretch.num_shares)
            begin = end - stretch.num_blocks
            own += max(0, end - max(begin, held)) / num_shares
            end = begin
        return own


class PrefixIndex:
    """Hashes are chained (`hashes.py`), from 0 to 2**64 - 1; a prompt is its list of them.

    Holds no more than the capacities of its replicas together, and never a block whose beginning is gone.
    """

    def __init__(self) -> None:
        self._root = Run(None, ())
        self._holders: dict[ReplicaId, Holder] = {}

    def add(self, replica: ReplicaId, capacity_blocks: int) -> None:
        """A replica with an empty cache; one that is known is forgotten first: it booted again."""
        if capacity_blocks < 1:
            problem = f"{capacity_blocks} is no capacity of {replica}."
            raise InvalidField("capacity_blocks", problem, "Give a whole number from 1 on.")
        self.forget(replica)
        self._holders[replica] = Holder(capacity_blocks)

    def forget(self, replica: ReplicaId) -> None:
        """Nothing of it is resident any more, and it is unknown, as it may have been before."""
        if replica in self._holders:
            self.evict(replica, self._holders[replica].num_blocks)
            del self._holders[replica]

    def num_blocks(self, replica: ReplicaId) -> int:
        return self._holders[replica].num_blocks

    def find(self, hashes: Sequence[int]) -> Found:
        """What of a prompt's beginning is resident where."""
        found = Found({}, [])
        run, at = self._root, 0
        while at < len(hashes):
            child = run.children.get(hashes[at])
            if child is None:
                break
            num_common = child.num_common(hashes, at)
            for replica, stay in child.stays.items():
                found.num_blocks[replica] = at + min(stay.num_blocks, num_common)
            found.stretches.append(Stretch(num_common, max(1, len(child.children))))
            if num_common < len(child.hashes):
                break
            run, at = child, at + num_common
        return found

    def insert(self, replica: ReplicaId, hashes: Sequence[int]) -> int:
        """The replica has computed or used this prompt: it is the most recently used.  Blocks evicted for it.

        Of a prompt larger than the replica's capacity its beginning stays.
        """
        holder = self._holders[replica]
        for run in reversed(self._path(hashes[: holder.capacity_blocks])):
            stay = run.stays.get(replica)
            if stay is None:
                stay = run.stays[replica] = Stay(run, 0)
            holder.num_blocks += len(run.hashes) - stay.num_blocks
            stay.num_blocks = len(run.hashes)
            holder.touch(stay)
        num_over = max(0, holder.num_blocks - holder.capacity_blocks)
        self.evict(replica, num_over)
        return num_over

    def evict(self, replica: ReplicaId, num_blocks: int) -> None:
        """The least recently used ones, from the ends of their prompts; all where there are fewer."""
        holder = self._holders[replica]
        left = min(num_blocks, holder.num_blocks)
        holder.num_blocks -= left
        while left > 0:
            stay = holder.oldest
            num_gone = min(left, stay.num_blocks)
            stay.num_blocks -= num_gone
            left -= num_gone
            if not stay.num_blocks:
                stay.unlink()
                del stay.run.stays[replica]
            stay.run.trim()

    def check(self) -> None:
        """Raises AssertionError where the tree does not hold what its replicas hold, or more."""
        counts = dict.fromkeys(self._holders, 0)
        runs = list(self._root.children.values())
        for run in runs:
            assert max((stay.num_blocks for stay in run.stays.values()), default=0) == len(run.hashes) > 0
            assert all(run is child.parent for child in run.children.values())
            for replica, stay in run.stays.items():
                counts[replica] += stay.num_blocks
                is_whole = run.parent is self._root or _is_whole(run.parent, replica)
                assert is_whole, f"{replica} holds blocks whose beginning is gone"
            runs.extend(run.children.values())
        for replica, holder in self._holders.items():
            assert counts[replica] == holder.num_blocks <= holder.capacity_blocks, replica

    def _path(self, hashes: Sequence[int]) -> list[Run]:
        """Runs that are exactly these blocks, made where they are missing."""
        path: list[Run] = []
        run, at = self._root, 0
        while at < len(hashes):
            child = run.children.get(hashes[at])
            if child is None:
                path.extend(self._grown(run, hashes[at:]))
                break
            num_common = child.num_common(hashes, at)
            if num_common < len(child.hashes):
                child.split(num_common)
            path.append(child)
            run, at = child, at + num_common
        return path

    def _grown(self, run: Run, hashes: Sequence[int]) -> list[Run]:
        """A run that nothing follows grows in place: so a session that goes on stays one run."""
        if run is not self._root and not run.children:
            run.hashes.extend(hashes)
            return []
        run.children[hashes[0]] = child = Run(run, hashes)
        return [child]


def _is_whole(run: Run | None, replica: ReplicaId) -> bool:
    return run is not None and replica in run.stays and run.stays[replica].num_blocks == len(run.hashes)
