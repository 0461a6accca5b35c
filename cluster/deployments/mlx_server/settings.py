"""What a rank is told.  Free of MLX, so that its adapter need not load it."""

import json
from dataclasses import asdict, dataclass

SECRET_ENV = "HEARTH_GANG_SECRET"
"""What ranks prove to each other that they belong together; it never stands in a command line."""

FAULT = "HEARTH-FAULT "
"""Begins the line with which a rank says, as JSON, why it cannot start: [problem, remedy]."""


@dataclass(frozen=True, slots=True)
class RankSettings:
    """Everything a rank is told.

    `socket`: where rank 0 serves.  `control`: rank 0's address and port for the other ranks, empty where
    there is only one.  `backend`: mlx's name of how ranks exchange tensors.  `kv_tokens`: KV memory, shared
    by `num_slots` sequences.  `chunk_tokens`: prompt tokens computed in one step.  `exact`: in float32.
    `ready_timeout_s`: how long ranks wait for each other, some of which may download first.
    """

    model: str
    rank: int
    num_ranks: int
    tensor_parallel: int
    pipeline_parallel: int
    kv_tokens: int
    num_slots: int
    window_tokens: int
    chunk_tokens: int
    exact: bool = False
    socket: str = ""
    control: str = ""
    backend: str = ""
    ready_timeout_s: float = 120.0

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> "RankSettings":
        return cls(**json.loads(argument))
