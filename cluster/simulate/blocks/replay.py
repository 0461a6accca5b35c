"""Plays prompts to equal nodes and notes where each went and what it found there."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.core.ids import ReplicaId
from cluster.core.prefixes.choice import Offer, RecentWork
from cluster.core.prefixes.index import Found, PrefixIndex
from cluster.simulate.blocks.policies import Policy
from cluster.simulate.blocks.prompt import BLOCK_TOKENS, Prompt


@dataclass(frozen=True, slots=True)
class Lab:
    """Equal nodes.  Prefill runs one prompt at a time, first come, first served, at one rate at any depth."""

    num_nodes: int
    blocks_per_node: int
    prefill_tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Placed:
    """`first_token_s`: from its arrival until its prefill is done."""

    prompt: Prompt
    node: int
    hit_blocks: int
    first_token_s: float

    @property
    def hit_tokens(self) -> int:
        return self.prompt.tokens_in(self.hit_blocks)

    @property
    def work_tokens(self) -> int:
        """What is prefilled for it: the tokens that were not resident."""
        return self.prompt.input_tokens - self.hit_tokens


@dataclass(slots=True)
class _Node:
    replica: ReplicaId
    free_at_s: float = 0.0
    recent: RecentWork = field(default_factory=RecentWork)

    def take(self, work_s: float, now: float) -> float:
        """Seconds until it is done."""
        self.free_at_s = max(self.free_at_s, now) + work_s
        self.recent = self.recent.with_more(work_s, now)
        return self.free_at_s - now


def replay(lab: Lab, prompts: Sequence[Prompt], policy: Policy) -> list[Placed]:
    """`prompts`: in the order of their arrival.  Their blocks are resident from then on: who comes later is
    served later."""
    index = PrefixIndex()
    nodes = [_Node(ReplicaId(f"node-{number}")) for number in range(lab.num_nodes)]
    for node in nodes:
        index.add(node.replica, lab.blocks_per_node)
    numbers = {node.replica: number for number, node in enumerate(nodes)}
    placed: list[Placed] = []
    for prompt in prompts:
        found = index.find(prompt.blocks)
        offers = [_offer(lab, prompt, node, found) for node in nodes]
        chosen = policy(offers)
        index.insert(chosen.replica, prompt.blocks)
        number = numbers[chosen.replica]
        first_token_s = nodes[number].take(chosen.recompute_s, prompt.at_s)
        placed.append(Placed(prompt, number, found.num_blocks.get(chosen.replica, 0), first_token_s))
    return placed


def pooled_hit_blocks(lab: Lab, prompts: Sequence[Prompt]) -> int:
    """Blocks found in one LRU cache as large as those of all nodes together."""
    index, pool = PrefixIndex(), ReplicaId("pool")
    index.add(pool, lab.num_nodes * lab.blocks_per_node)
    hit_blocks = 0
    for prompt in prompts:
        hit_blocks += index.find(prompt.blocks).num_blocks.get(pool, 0)
        index.insert(pool, prompt.blocks)
    return hit_blocks


def _offer(lab: Lab, prompt: Prompt, node: _Node, found: Found) -> Offer:
    now = prompt.at_s
    missed_tokens = prompt.input_tokens - prompt.tokens_in(found.num_blocks.get(node.replica, 0))
    return Offer(
        node.replica,
        wait_s=max(0.0, node.free_at_s - now),
        recompute_s=missed_tokens / lab.prefill_tokens_per_s,
        own_s=found.own_blocks(node.replica) * BLOCK_TOKENS / lab.prefill_tokens_per_s,
        work_s=node.recent.until(now),
    )
