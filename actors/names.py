"""Names under which the pool's actors are found.  All of them live in one Ray namespace."""

NAMESPACE = "hearth"
ROUTER = "router"
GATEWAY = "gateway"
LOADER = "loader"


def node_agent(node: str) -> str:
    """The agent of a node."""
    return f"node-{node}"
