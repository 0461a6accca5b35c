"""Where a prompt goes, given what of its beginning is resident where.  Everything is priced in seconds.

    cost = wait + recompute + OWN_PRICE * own + LEAD_PRICE * lead

*wait*: until the replica would begin.  *recompute*: the prefill of what is not resident there.  Both delay
this prompt alone, and once.
*own*: the part of the recompute that serves nobody else.  It delays all who come later while the replica is
busy, takes power and pushes the blocks of others out, so a second of it weighs more.  Blocks that many
prompts share are divided among them (`Found.own_blocks`): a copy is found again by the next of these prompts.
*lead*: how much more work than the least worked replica this one was given lately.  It takes no time from
anybody, but a cache that is filled faster forgets sooner.  Prompts that nobody holds level it at no cost: it
weighs little.

So a session stays where its prefix is until waiting there costs far more than computing it anew, while what
is hot (a system prompt) is copied as soon as its holders are busy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from cluster.core.ids import ReplicaId

OWN_PRICE = 20.0
"""Measured with `python -m bench.prefixes` on recorded conversations, 8 nodes, prefill busy 59 % of the time:
from 10 to 40 the hits go from 0.978 to 0.996 of a pooled cache's, and the mean first token from 2.03 to 2.17
s."""

LEAD_PRICE = 0.2
"""Measured likewise: 0.1 to 0.4 differ little, 1 costs two hundredths of the hits.  Without it, shared heads
on nodes that nobody waits for leave one of 8 nodes with 2.9 times the mean work."""

WINDOW_S = 300.0
"""Five minutes, over which the evenness of work is judged too."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A replica that could take the prompt.  All in seconds: `wait_s` until it would begin, `recompute_s` and
    the part `own_s` of prefill, `work_s` of prefill that it was given lately (`RecentWork`)."""

    replica: ReplicaId
    wait_s: float
    recompute_s: float
    own_s: float
    work_s: float


@dataclass(frozen=True, slots=True)
class RecentWork:
    """Seconds of prefill that a replica was given, forgotten over `WINDOW_S`.  `at_s`: when it last was."""

    work_s: float = 0.0
    at_s: float = 0.0

    def until(self, now: float) -> float:
        return self.work_s * exp(min(0.0, self.at_s - now) / WINDOW_S)

    def with_more(self, work_s: float, now: float) -> "RecentWork":
        return RecentWork(self.until(now) + work_s, now)


def cheapest(offers: Sequence[Offer]) -> Offer:
    """The offer of least cost; of equals the one with least work, then the first.  `offers`: at least one."""
    least_s = min(offer.work_s for offer in offers)
    return min(offers, key=lambda offer: (_cost_s(offer, least_s), offer.work_s))


def _cost_s(offer: Offer, least_s: float) -> float:
    lead_s = offer.work_s - least_s
    return offer.wait_s + offer.recompute_s + OWN_PRICE * offer.own_s + LEAD_PRICE * lead_s
