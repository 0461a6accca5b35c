"""What a llama.cpp server is told.  Apart from the child, so that its parent need not load llama.cpp."""

import json
from dataclasses import asdict, dataclass

from cluster.core.slots import LLAMACPP_CHECKPOINTS


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the server is told.

    `address`: a socket's path, or a loopback address with `port`.  `context_tokens`: KV memory shared by
    `num_slots` sequences, each of which may go back to `num_checkpoints` earlier states.
    `batch_tokens`: prompt tokens computed between two looks at who went away.
    `gpu_layers` None: all, where there is a GPU.  `exact`: without flash attention, whose rounding differs
    on CPUs.
    """

    model: str
    name: str
    address: str
    context_tokens: int
    num_slots: int
    batch_tokens: int
    kv_type: str
    threads: int
    save_path: str
    port: int = 0
    gpu_layers: int | None = None
    pooling: int | None = None
    exact: bool = False
    num_checkpoints: int = LLAMACPP_CHECKPOINTS

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> "Settings":
        return cls(**json.loads(argument))
