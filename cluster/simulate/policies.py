"""All policies by name: ours, and those of others."""

from collections.abc import Callable, Mapping
from random import Random

from cluster.simulate.cost import Cost
from cluster.simulate.peers import PEERS
from cluster.simulate.policy import Policy
from cluster.simulate.router import Router

OURS: Mapping[str, Callable[[Random], Policy]] = {
    "router": Router,
    "cost-rehearsing": lambda _: Cost(rehearses=True),
    "cost": lambda _: Cost(),
}
"""`router`: the decisions of the pool as it is; `cost`: those written for it."""

POLICIES: Mapping[str, Callable[[Random], Policy]] = {**PEERS, **OURS}
"""Each made anew for a run, with its own source of chance."""
