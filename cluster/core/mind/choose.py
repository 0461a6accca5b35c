"""The price of each node for a turn, split into its terms, and the cheapest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.core.mind.harm import evicted_s, room_wait_s
from cluster.core.mind.life import next_turns_s, room_s
from cluster.core.mind.order import Key, key
from cluster.core.mind.prices import token_s
from cluster.core.mind.standing import Standing, turn_prefill_s
from cluster.core.mind.views import Kind, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Ahead:
    """A prefill that is under way at a node, or meant for it."""

    key: Key
    left_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds.  The first three are the turn's own, the others are other turns'.

    `wait_s`: until its prefill begins.  `harm_s`: to those who wait or are answered there.  `evicted_s`: to
    those who sleep there.  `life_s`, `room_s`: what the place costs in turns to come.  `energy_s`: of
    background turns alone; nobody waits for it.
    """

    wait_s: float
    prefill_s: float
    answer_s: float
    harm_s: float
    evicted_s: float
    life_s: float
    room_s: float
    energy_s: float

    @property
    def total_s(self) -> float:
        own_s = self.wait_s + self.prefill_s + self.answer_s
        return own_s + self.harm_s + self.evicted_s + self.life_s + self.room_s + self.energy_s


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
    turn: TurnView,
    nodes: Sequence[Standing],
    ahead: Mapping[str, Sequence[Ahead]],
    num_theirs: int,
    weights: Weights,
) -> Choice:
    """`nodes`: at least one, all of which could hold the turn.  `ahead`: by node, as it is meant so far.

    `num_theirs`: turns of its tenant that run now.
    """
    found = [
        Candidate(each.node.name, _cost(turn, each, ahead[each.node.name], num_theirs, weights))
        for each in nodes
    ]
    return Choice(turn, sorted(found, key=lambda each: each.cost.total_s))


def price(turn: TurnView, at: Standing, weights: Weights) -> float:
    """Seconds in all, were nobody else waiting."""
    return _cost(turn, at, (), 0, weights).total_s


def _cost(turn: TurnView, at: Standing, ahead: Sequence[Ahead], num_theirs: int, weights: Weights) -> Cost:
    own_s = turn_prefill_s(at, turn)
    own_key = key(own_s, turn.waited_s, turn.kind, weights, num_theirs)
    share = weights.prefill_share if at.num_decoding else 1.0
    better_s, num_overtaken = 0.0, 0
    for other in ahead:
        if other.key <= own_key:
            better_s += other.left_s
        else:
            num_overtaken += 1
    answer_s = _answer_s(at, turn)
    harm = weights.harm_overtaken * num_overtaken + weights.harm_decoding * at.num_decoding
    return Cost(
        wait_s=max(better_s / share, room_wait_s(at, turn)),
        prefill_s=own_s / share,
        answer_s=answer_s,
        harm_s=own_s * harm,
        evicted_s=evicted_s(at, turn),
        life_s=next_turns_s(at, turn, weights),
        room_s=room_s(at, turn, weights),
        energy_s=_energy_s(at, turn, own_s + answer_s, weights),
    )


def _energy_s(at: Standing, turn: TurnView, work_s: float, weights: Weights) -> float:
    is_background = turn.kind is Kind.BACKGROUND
    return at.node.watts * work_s * weights.energy_s_per_joule if is_background else 0.0


def _answer_s(at: Standing, turn: TurnView) -> float:
    """Beside those that run there now."""
    pace = at.node.paces[turn.model]
    return turn.output_tokens * token_s(pace, 1 + len(at.node.running), turn.tokens + at.running_tokens)
