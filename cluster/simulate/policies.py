"""All policies by name: those of others, and ours."""

from collections.abc import Callable, Mapping
from random import Random

from cluster.simulate.peers import PEERS
from cluster.simulate.policy import Policy
from cluster.simulate.router import Router

OURS: Mapping[str, Callable[[Random], Policy]] = {"router": Router}
"""`router`: the decisions of the pool as it is.  The last is the one to be compared with others."""

POLICIES: Mapping[str, Callable[[Random], Policy]] = {**PEERS, **OURS}
"""Each made anew for a run, with its own source of chance."""
