"""What others do, each behind the seam of `cluster.simulate.policy`, by its public description.

All see the engines as they are, at once: no report is ever late, and none forgets what a node has evicted
unless its own description says that it does not look.  Nodes that could never hold a turn are not offered.
"""

from collections.abc import Callable, Mapping
from random import Random

from cluster.simulate.peers.dual_map import DualMap
from cluster.simulate.peers.dynamo import Dynamo
from cluster.simulate.peers.least import LeastKv, LeastLoaded, PowerOfTwo, PowerOfTwoDistinct, RoundRobin
from cluster.simulate.peers.llm_d import LlmD, queue_of_all, queue_of_prefill
from cluster.simulate.peers.mooncake import MooncakeGreedy
from cluster.simulate.peers.ray_prefix import RayPrefix, RayPrefixDistinct
from cluster.simulate.peers.sglang import SGLang
from cluster.simulate.peers.sticky import Sticky
from cluster.simulate.policy import Policy

PEERS: Mapping[str, Callable[[Random], Policy]] = {
    "round-robin": RoundRobin,
    "power-of-two": PowerOfTwo,
    "power-of-two-distinct": PowerOfTwoDistinct,
    "least-loaded": LeastLoaded,
    "least-kv": LeastKv,
    "sticky": Sticky,
    "sglang": SGLang,
    "ray-prefix": RayPrefix,
    "ray-prefix-distinct": RayPrefixDistinct,
    "dynamo": Dynamo,
    "llm-d": lambda chance: LlmD(chance, queue_of_all),
    "llm-d-prefill": lambda chance: LlmD(chance, queue_of_prefill),
    "dualmap": DualMap,
    "mooncake": MooncakeGreedy,
}
"""Each made anew for a run, with its own source of chance."""

SHIPPING = tuple(name for name in PEERS if name != "mooncake")
"""Those that people can install and run: Mooncake's is a paper's rule, without a shipping router."""
