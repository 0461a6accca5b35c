"""How the memory that is free is shared among the models of one node, before any of them loads.

Each gets a part in proportion to its weights, so that two that load at once do not both count on the same
bytes.  Ray holds the parts as a resource that cannot be granted twice: a replacement waits until the old
engine's memory is free.
"""

from collections.abc import Mapping

USABLE_SHARE = 0.95
"""Of the memory that is free when the node starts; the rest stays for everything else."""

KV_CLAIM_BYTES = 512 * 2**20
"""Counted beside the weights, so that a tiny model gets KV memory too."""


def share(usable_bytes: int, weights_bytes: Mapping[str, int]) -> dict[str, int]:
    """Bytes for each model by name; together all that is usable, so that no part fits twice."""
    claims = {name: size + KV_CLAIM_BYTES for name, size in weights_bytes.items()}
    whole = sum(claims.values())
    return {name: usable_bytes * claim // whole for name, claim in claims.items()}
