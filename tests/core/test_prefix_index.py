"""The index of resident prefixes answers as a list of blocks would, whatever is used, evicted and lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.core.errors import InvalidField
from cluster.core.ids import ReplicaId
from cluster.core.prefixes.hashes import text_hashes, token_hashes
from cluster.core.prefixes.index import PrefixIndex

A, B = ReplicaId("a"), ReplicaId("b")

LETTERS = st.lists(st.integers(0, 2), min_size=1, max_size=9)
"""Few letters: prompts share beginnings, fork, and are beginnings of each other."""

REPLICAS = st.sampled_from(["r0", "r1", "r2"]).map(ReplicaId)
STEPS = st.one_of(
    st.tuples(st.just("insert"), REPLICAS, LETTERS),
    st.tuples(st.just("evict"), REPLICAS, st.integers(0, 12)),
    st.tuples(st.just("boot"), REPLICAS, st.integers(1, 14)),
)


@dataclass
class Naive:
    """A replica as a table of single blocks: hash to when it was last used and how deep it lies."""

    capacity_blocks: int
    now: int = 0
    blocks: dict[int, tuple[int, int]] = field(default_factory=dict)

    def insert(self, hashes: list[int]) -> int:
        self.now += 1
        held = hashes[: self.capacity_blocks]
        self.blocks |= {block: (self.now, -depth) for depth, block in enumerate(held)}
        return self.evict(len(self.blocks) - self.capacity_blocks)

    def evict(self, num_blocks: int) -> int:
        gone = sorted(self.blocks, key=lambda block: self.blocks[block])[: max(0, num_blocks)]
        for block in gone:
            del self.blocks[block]
        return len(gone)

    def matched(self, hashes: list[int]) -> int:
        return next((at for at, block in enumerate(hashes) if block not in self.blocks), len(hashes))


def prompt(letters: list[int]) -> list[int]:
    return token_hashes(letters, 1)


def filled(capacity_blocks: int, *prompts: list[int]) -> PrefixIndex:
    """A replica `a` that has used these."""
    index = PrefixIndex()
    index.add(A, capacity_blocks)
    for letters in prompts:
        index.insert(A, prompt(letters))
    return index


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40), LETTERS)
def test_the_index_is_a_table_of_blocks(steps: list[tuple[str, ReplicaId, object]], asked: list[int]) -> None:
    index, naive = PrefixIndex(), {}
    for number in range(3):
        index.add(ReplicaId(f"r{number}"), 8)
        naive[ReplicaId(f"r{number}")] = Naive(8)
    for what, replica, value in steps:
        match what, value:
            case "insert", list():
                assert index.insert(replica, prompt(value)) == naive[replica].insert(prompt(value))
            case "evict", int():
                index.evict(replica, value)
                naive[replica].evict(value)
            case "boot", int():
                index.add(replica, value)
                naive[replica] = Naive(value)
        index.check()
        for letters in (asked, *(step[2] for step in steps if isinstance(step[2], list))):
            hashes = prompt(letters)
            matched = {each: found for each, one in naive.items() if (found := one.matched(hashes))}
            found = index.find(hashes)
            assert found.num_blocks == matched
            assert sum(each.num_blocks for each in found.stretches) == max(matched.values(), default=0)
    assert [index.num_blocks(each) for each in naive] == [len(one.blocks) for one in naive.values()]


def test_a_replica_that_is_lost_leaves_nothing_behind() -> None:
    index = filled(8, [1, 2, 3], [1, 2, 4])
    index.forget(A)
    index.forget(A)
    assert index.find(prompt([1, 2, 3])).stretches == []
    with pytest.raises(KeyError):
        index.insert(A, prompt([1]))


def test_of_a_prompt_too_large_for_a_replica_the_beginning_stays() -> None:
    index = filled(3, [9], [1, 2, 3, 4, 5])
    assert index.find(prompt([1, 2, 3, 4, 5])).num_blocks == {A: 3}
    assert index.find(prompt([9])).num_blocks == {}


def test_what_a_replica_lacks_is_divided_among_the_prompts_that_share_it() -> None:
    index = filled(99, [0, 0, 1], [0, 0, 2], [0, 0, 3, 4])
    index.add(B, 99)
    found = index.find(prompt([0, 0, 3, 4, 5]))
    assert found.own_blocks(A) == 0
    assert found.own_blocks(B) == pytest.approx(2 / 3 + 2)
    index.insert(B, prompt([0]))
    assert index.find(prompt([0, 0, 3, 4, 5])).own_blocks(B) == pytest.approx(1 / 3 + 2)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 5), st.data())
def test_hashes_are_equal_as_long_as_the_prompts_are(ids: list[int], size: int, data: st.DataObject) -> None:
    hashes = token_hashes(ids, size)
    assert len(hashes) == len(ids) // size
    assert all(0 <= each < 2**64 for each in hashes)
    if ids:
        at = data.draw(st.integers(0, len(ids) - 1))
        other = token_hashes([*ids[:at], ids[at] ^ 1, *ids[at + 1 :]], size)
        assert [one == two for one, two in zip(hashes, other, strict=True)] == [
            number < at // size for number in range(len(hashes))
        ]


def test_tenants_do_not_share_where_a_salt_separates_them() -> None:
    assert not set(token_hashes([1] * 64, 16, "ann")) & set(token_hashes([1] * 64, 16, "bob"))
    assert text_hashes("häuser" * 9, 4, "ann")[:5] == text_hashes("häuser" * 5, 4, "ann")[:5]
    assert text_hashes("a" * 9, 4, "ann") != text_hashes("a" * 9, 4, "bob")


def test_a_size_that_is_none_is_refused() -> None:
    for wrong in (lambda: token_hashes([1], 0), lambda: text_hashes("a", 0), lambda: filled(0)):
        with pytest.raises(InvalidField):
            wrong()
