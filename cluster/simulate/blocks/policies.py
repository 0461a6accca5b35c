"""Where prompts go: ours, and three plain ones that each mind one thing."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from cluster.core.prefixes.choice import Offer, cheapest

Policy = Callable[[Sequence[Offer]], Offer]
"""One of the offers, which come in the order of the nodes."""


def _round_robin() -> Policy:
    turns = count()
    return lambda offers: offers[next(turns) % len(offers)]


def _best_match(offers: Sequence[Offer]) -> Offer:
    return min(offers, key=lambda offer: offer.recompute_s)


def _least_work(offers: Sequence[Offer]) -> Offer:
    return min(offers, key=lambda offer: offer.work_s)


POLICIES: Mapping[str, Callable[[], Policy]] = {
    "hearth": lambda: cheapest,
    "best-match": lambda: _best_match,
    "least-work": lambda: _least_work,
    "round-robin": _round_robin,
}
