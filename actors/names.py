"""Names under which the pool's actors are found.  All of them live in one Ray namespace."""

NAMESPACE = "hearth"
ROUTER = "router"
GATEWAY = "gateway"
NODE = "node"
