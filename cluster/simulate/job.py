"""One turn on its way through the lab: what it needs, and when what happened to it."""

import math
from dataclasses import dataclass

from cluster.simulate.lab import Model


@dataclass(slots=True, eq=False)
class Job:
    """`kept_tokens`: how much of the prompt's beginning its session has had before.

    The engine fills in the rest.  `hit_tokens`: found resident when prefill began, at least one token less
    than the prompt.  `prefill_s`: all of its prefill, undisturbed; `left_s`: what remains of it.
    `left_tokens`: of the answer, still to be decoded.  Times are nan until they have come.
    """

    number: int
    session: str
    model: Model
    input_tokens: int
    output_tokens: int
    kept_tokens: int
    arrived_s: float
    node: str = ""
    hit_tokens: int = 0
    prefill_s: float = math.nan
    left_s: float = math.nan
    left_tokens: float = 0.0
    started_s: float = math.nan
    first_token_s: float = math.nan
    finished_s: float = math.nan

    @property
    def tokens(self) -> int:
        """What it holds of KV memory while it runs."""
        return self.input_tokens + self.output_tokens

    @property
    def kv_bytes(self) -> int:
        return self.tokens * self.model.kv_bytes_per_token

    @property
    def has_started(self) -> bool:
        return not math.isnan(self.started_s)
