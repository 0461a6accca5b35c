"""The best way for each model, and what one change would do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cluster.core.forecast.ask import Ask, LabNode, Subject, variant_for
from cluster.core.forecast.ways import Outcome, Way, outcome, ways
from cluster.core.speed.machines import LINKS, MACHINES, Link
from cluster.core.speed.model import Split

WORTH = 1.03
"""A change that makes a turn shorter by less than this is not told."""

SHOP = ("rtx-3090", "rtx-5090", "strix-halo", "dgx-spark", "rtx-pro-6000", "m3-ultra-256", "m3-ultra-512")
"""Machines to try where those asked for are not enough, the smaller ones first."""


@dataclass(frozen=True, slots=True)
class Change:
    """`turn_s` before and after; None: it does not hold.  `way`: where the model then lies."""

    name: str
    way: Way
    before_s: float | None
    after_s: float
    resident: int

    @property
    def gain(self) -> float:
        """How many times shorter a turn is; one that was not possible at all gains most."""
        return float("inf") if self.before_s is None else self.before_s / self.after_s


@dataclass(frozen=True, slots=True)
class Forecast:
    """`best` may not hold the context: then it is the way that comes nearest.  `others`: all other ways.
    `beside`: models asked for that lie on a machine of `best`, too.  All speeds are those of a model alone.
    """

    subject: Subject
    best: Outcome
    others: tuple[Outcome, ...]
    beside: tuple[str, ...] = ()

    @property
    def shared_tokens_s(self) -> float:
        """While all that share a machine write: each has its part of the time."""
        return self.best.tokens_s / (1 + len(self.beside))


def forecast(ask: Ask) -> tuple[Forecast, ...]:
    """In the order asked; the larger models take their room first.  Raises InvalidField."""
    room = {place: node.usable_bytes for place, node in enumerate(ask.checked().nodes)}
    sizes = {
        subject: variant_for(subject, next(ways(ask, subject)).engine).weights_bytes
        for subject in ask.subjects
    }
    found: dict[Subject, Forecast] = {}
    for subject in sorted(ask.subjects, key=lambda each: -sizes[each]):
        outcomes = sorted((outcome(ask, subject, way, room) for way in ways(ask, subject)), key=_rank)
        best = outcomes[0]
        found[subject] = Forecast(subject, best, tuple(_distinct(outcomes)))
        taken = best.weights_bytes + best.buffers_bytes
        taken += min(best.resident, ask.sessions) * best.session_bytes
        if best.holds:
            room |= {place: max(room[place] - taken, 0) for place in best.way.nodes}
    return tuple(replace(found[each], beside=_beside(found, each)) for each in ask.subjects)


def _beside(found: Mapping[Subject, Forecast], subject: Subject) -> tuple[str, ...]:
    mine = found[subject].best
    return tuple(
        other.name
        for other, each in found.items()
        if other is not subject
        and mine.holds
        and each.best.holds
        and not set(mine.way.nodes).isdisjoint(each.best.way.nodes)
    )


def _rank(found: Outcome) -> tuple[bool, int, float, int]:
    return not found.holds, 0 if found.holds else -found.largest_tokens, found.turn_s, len(found.way.nodes)


def _distinct(outcomes: list[Outcome]) -> Iterator[Outcome]:
    """Without the first, and one of those that differ in their nodes' places alone."""
    told = {(outcomes[0].way.name, outcomes[0].way.split)}
    for found in outcomes[1:]:
        if (found.way.name, found.way.split) not in told:
            told.add((found.way.name, found.way.split))
            yield found


def advice(ask: Ask, found: Forecast) -> str:
    """Against tensor parallel where the link makes it slower than to do without; empty: nothing to say.

    Never against the best way: what is slower alone may be quicker for all sessions together.
    """
    if found.best.way.split is Split.TENSOR:
        return ""
    all_ways = [found.best, *found.others]
    tensor = next((each for each in all_ways if each.way.split is Split.TENSOR and each.holds), None)
    plain = next((each for each in all_ways if each.way.split is not Split.TENSOR and each.holds), None)
    if tensor is None or plain is None or tensor.tokens_s >= plain.tokens_s:
        return ""
    words = (
        f"Tensor parallel over {tensor.way.name} by {ask.link.name}: {tensor.tokens_s:.1f} tokens/s, "
        f"{tensor.network_share:.0%} of it waiting for the network, against {plain.tokens_s:.1f} on "
        f"{plain.way.name}. Not worth it"
    )
    for link in _faster(ask):
        over = outcome(replace(ask, link=link), found.subject, tensor.way, _whole(ask))
        if over.tokens_s > plain.tokens_s:
            return f"{words}; by {link.name} it would be {over.tokens_s:.1f}."
    return f"{words}."


def _whole(ask: Ask) -> dict[int, int]:
    return {place: node.usable_bytes for place, node in enumerate(ask.nodes)}


def _faster(ask: Ask) -> Iterator[Link]:
    can_rdma = all(node.machine.has_rdma for node in ask.nodes)
    for link in LINKS.values():
        if link.name != "pcie" and link.bytes_s > ask.link.bytes_s and (can_rdma or not link.is_rdma):
            yield link


def changes(ask: Ask, subject: Subject) -> tuple[Change, ...]:
    """Those that make this model's turns shorter, the best first."""
    before = _of(forecast(ask), subject)
    found: list[Change] = []
    for name, changed in _tried(ask, is_held=before.best.holds):
        after = _of(forecast(changed), subject).best
        if after.holds:
            before_s = before.best.turn_s if before.best.holds else None
            found.append(Change(name, after.way, before_s, after.turn_s, after.resident))
    return tuple(sorted((each for each in found if each.gain > WORTH), key=lambda each: -each.gain))


def _of(found: tuple[Forecast, ...], subject: Subject) -> Forecast:
    return next(each for each in found if each.subject is subject)


def _tried(ask: Ask, *, is_held: bool) -> Iterator[tuple[str, Ask]]:
    if ask.kv_type == "f16":
        yield "KV in q8_0", replace(ask, kv_type="q8_0")
    yield "half the context", replace(ask, context_tokens=ask.context_tokens // 2)
    if len(ask.nodes) > 1:
        for link in _faster(ask):
            yield f"{link.name} between the machines", replace(ask, link=link)
    own = dict.fromkeys(node for node in ask.nodes)
    for node in own:
        yield f"one more {node.name}", ask.with_node(node)
    if not is_held:
        for node in (LabNode(MACHINES[name]) for name in SHOP):
            if node not in own:
                yield f"one {node.name}", ask.with_node(node)
