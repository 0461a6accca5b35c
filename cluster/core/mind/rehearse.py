"""Prefill ahead: a node with nothing to do computes what a thinking session will want there.

It costs heat, and is switched on by itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from cluster.core.mind.choose import price
from cluster.core.mind.prices import prefill_s
from cluster.core.mind.returns import returns_within
from cluster.core.mind.standing import Standing, standing
from cluster.core.mind.views import NodeView, Resident, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Thinker:
    """A session between two turns: its next one as it is expected, and how long it has been silent."""

    turn: TurnView
    idle_s: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`gain_s`: the seconds that people are expected to wait less."""

    turn: TurnView
    node: str
    gain_s: float


def rehearsals(
    thinkers: Sequence[Thinker], nodes: Sequence[NodeView], free: Collection[str], weights: Weights
) -> list[Rehearsal]:
    """At most one for each of the nodes named in `free`, and each session once."""
    seen = {node.name: standing(node, weights) for node in nodes}
    now_s = {each.turn.session: _price_now(each.turn, list(seen.values()), weights) for each in thinkers}
    found: list[Rehearsal] = []
    for name in free:
        taken = {each.turn.session for each in found}
        offers = [
            _offer(each, seen[name], now_s[each.turn.session], weights)
            for each in thinkers
            if name in each.turn.nodes and each.turn.session not in taken
        ]
        best = max((each for each in offers if each is not None), key=lambda each: each.gain_s, default=None)
        if best is not None:
            found.append(best)
    return found


def _price_now(turn: TurnView, nodes: Sequence[Standing], weights: Weights) -> float:
    return min(price(turn, at, weights) for at in nodes if at.node.name in turn.nodes)


def _offer(thinker: Thinker, at: Standing, now_s: float, weights: Weights) -> Rehearsal | None:
    """None where the session would gain less than the prefill is worth."""
    turn, there = thinker.turn, at.resident_tokens(thinker.turn.session)
    if there >= turn.kept_tokens:
        return None
    work_s = prefill_s(at.node.paces[turn.model], there, turn.kept_tokens - there)
    chance = returns_within(weights.rehearsal_horizon_s + work_s, thinker.idle_s)
    chance -= returns_within(work_s / 2, thinker.idle_s)
    if chance * now_s <= weights.rehearsal_price * work_s:
        return None
    gain_s = chance * (now_s - price(turn, _rehearsed(thinker, at, weights), weights))
    return Rehearsal(turn, at.node.name, gain_s) if gain_s > weights.rehearsal_price * work_s else None


def _rehearsed(thinker: Thinker, at: Standing, weights: Weights) -> Standing:
    """The node with the session's whole context there."""
    turn = thinker.turn
    own = Resident(turn.session, turn.model, turn.kept_tokens, thinker.idle_s, turn.growth_tokens)
    others = [each for each in at.node.residents if each.session != turn.session]
    return standing(replace(at.node, residents=(*others, own)), weights)
