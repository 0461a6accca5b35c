"""The price of each node for a turn, split into its terms, and the cheapest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from cluster.core.mind.harm import evicted_s, running_bytes, turn_bytes
from cluster.core.mind.life import next_turns_s, room_s
from cluster.core.mind.order import Key, key
from cluster.core.mind.prices import token_s, turn_prefill_s
from cluster.core.mind.views import NodeView, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Ahead:
    """A prefill that is under way at a node, or meant for it."""

    key: Key
    left_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds.  The first four are the turn's own, the others are other turns'.

    `wait_s`: until its prefill begins.  `harm_s`: to those who wait or are answered there.  `evicted_s`: to
    those who sleep there.  `life_s`, `room_s`: what the place costs in turns to come.
    """

    wait_s: float
    prefill_s: float
    answer_s: float
    harm_s: float
    evicted_s: float
    life_s: float
    room_s: float

    @property
    def total_s(self) -> float:
        return sum(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True)
class Candidate:
    node: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Choice:
    """`candidates`: all nodes that could serve the turn, the cheapest first."""

    turn: TurnView
    candidates: Sequence[Candidate]

    @property
    def node(self) -> str:
        return self.candidates[0].node


def choose(
    turn: TurnView, nodes: Sequence[NodeView], ahead: Mapping[str, Sequence[Ahead]], weights: Weights
) -> Choice:
    """`nodes`: at least one, all of which could hold the turn.  `ahead`: by node, as it is meant so far."""
    found = [Candidate(node.name, _cost(turn, node, ahead[node.name], weights)) for node in nodes]
    return Choice(turn, sorted(found, key=lambda each: each.cost.total_s))


def _cost(turn: TurnView, node: NodeView, ahead: Sequence[Ahead], weights: Weights) -> Cost:
    own_s = turn_prefill_s(node, turn)
    own_key = key(own_s, turn.waited_s, turn.kind, weights)
    num_decoding = sum(each.is_decoding for each in node.running)
    share = weights.prefill_share if num_decoding else 1.0
    better_s = sum(each.left_s for each in ahead if each.key <= own_key) / share
    num_overtaken = sum(each.key > own_key for each in ahead)
    harm = weights.harm_overtaken * num_overtaken + weights.harm_decoding * num_decoding
    return Cost(
        wait_s=max(better_s, room_wait_s(node, turn)),
        prefill_s=own_s / share,
        answer_s=_answer_s(node, turn),
        harm_s=own_s * harm,
        evicted_s=evicted_s(node, turn, weights),
        life_s=next_turns_s(node, turn, weights),
        room_s=room_s(node, turn, weights),
    )


def _answer_s(node: NodeView, turn: TurnView) -> float:
    """Beside those that run there now, as far as they will be decoding still."""
    pace = node.paces[turn.model]
    batch_tokens = turn.tokens + sum(each.tokens for each in node.running)
    return turn.output_tokens * token_s(pace, 1 + len(node.running), batch_tokens)


def room_wait_s(node: NodeView, turn: TurnView) -> float:
    """Until enough of those that run have ended for the turn to fit beside the others; 0: it fits."""
    over_bytes = running_bytes(node) + turn_bytes(node, turn) - node.capacity_bytes
    if over_bytes <= 0:
        return 0.0
    step_s = _step_s(node)
    ends = sorted(
        (each.left_prefill_s + each.left_tokens * step_s, each.tokens * node.paces[each.model].kv_bytes_per_token)
        for each in node.running
    )
    ended_s = 0.0
    for ended_s, freed_bytes in ends:
        over_bytes -= freed_bytes
        if over_bytes <= 0:
            break
    return ended_s


def _step_s(node: NodeView) -> float:
    """A token of those that run now."""
    pace = node.paces[node.running[0].model]
    return token_s(pace, len(node.running), sum(each.tokens for each in node.running))
