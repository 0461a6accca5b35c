"""All policies that can be tried, by name: the router's own, and those of others."""

from collections.abc import Callable, Mapping
from random import Random

from cluster.simulate.cost import Cost
from cluster.simulate.peers import PEERS
from cluster.simulate.policy import Policy

POLICIES: Mapping[str, Callable[[Random], Policy]] = {
    "cost": Cost,
    "cost-rehearsing": lambda chance: Cost(chance, rehearses=True),
    **PEERS,
}
"""Each made anew for a run, with its own source of chance."""
