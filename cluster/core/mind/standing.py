"""A node as it stands, summed once for all turns that ask about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.core.mind.prices import prefill_s, token_s
from cluster.core.mind.returns import returns_within
from cluster.core.mind.views import NodeView, Resident, TurnView
from cluster.core.mind.weights import Weights


@dataclass(frozen=True, slots=True)
class Share:
    """What one resident session adds to the sums of its node."""

    resident: Resident
    held_bytes: float
    neighbours: float
    neighbour_tokens: float
    wanted_bytes: float
    loss: float


@dataclass(frozen=True, slots=True)
class Standing:
    """`neighbours`: how many are expected to be at work there at once, `neighbour_tokens` what they hold.

    `wanted_bytes`: the working set to come.  `shares`: by session, those that lose memory first come first.
    """

    node: NodeView
    running_bytes: float
    running_tokens: float
    num_decoding: int
    step_s: float
    held_bytes: float
    neighbours: float
    neighbour_tokens: float
    wanted_bytes: float
    shares: Mapping[str, Share]

    def resident_tokens(self, session: str) -> int:
        own = self.shares.get(session)
        return own.resident.tokens if own else 0


def turn_prefill_s(at: Standing, turn: TurnView) -> float:
    """Of what the node does not have of the prompt.  The last token is always computed anew."""
    hit_tokens = min(at.resident_tokens(turn.session), turn.kept_tokens, turn.prompt_tokens - 1)
    return prefill_s(at.node.paces[turn.model], hit_tokens, turn.prompt_tokens - hit_tokens)


def standing(node: NodeView, weights: Weights) -> Standing:
    shares = {each.session: _share(node, each, weights) for each in node.residents}
    running_bytes = sum(each.tokens * node.paces[each.model].kv_bytes_per_token for each in node.running)
    running_tokens = sum(each.tokens for each in node.running)
    own = shares.values()
    return Standing(
        node=node,
        running_bytes=running_bytes,
        running_tokens=running_tokens,
        num_decoding=sum(each.is_decoding for each in node.running),
        step_s=_step_s(node, running_tokens),
        held_bytes=sum(each.held_bytes for each in own),
        neighbours=weights.neighbour * len(node.running) + sum(each.neighbours for each in own),
        neighbour_tokens=weights.neighbour * running_tokens + sum(each.neighbour_tokens for each in own),
        wanted_bytes=running_bytes + sum(each.wanted_bytes for each in own),
        shares=shares,
    )


def _share(node: NodeView, each: Resident, weights: Weights) -> Share:
    kv_bytes = node.paces[each.model].kv_bytes_per_token
    neighbour = weights.neighbour * _returns(each, weights.busy_horizon_s)
    grown_tokens = each.tokens + weights.turns_ahead * each.growth_tokens
    return Share(
        resident=each,
        held_bytes=each.tokens * kv_bytes,
        neighbours=neighbour,
        neighbour_tokens=neighbour * each.tokens,
        wanted_bytes=_returns(each, weights.room_horizon_s) * grown_tokens * kv_bytes,
        loss=_returns(each, weights.evict_horizon_s),
    )


def _returns(resident: Resident, horizon_s: float) -> float:
    """The chance that what lies there is asked for within `horizon_s`."""
    if resident.is_spare:
        return 0.0
    return 1.0 if resident.is_waited_for else returns_within(horizon_s, resident.idle_s)


def _step_s(node: NodeView, running_tokens: float) -> float:
    """A token of those that run now; 0 where none does."""
    if not node.running:
        return 0.0
    return token_s(node.paces[node.running[0].model], len(node.running), running_tokens)
