"""What a decision sees: nodes, what runs and lies there, and the turns that wait.

Nothing here is known to nobody: lengths of answers and returns of sessions are expectations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """The lower goes first, whatever else is said."""

    PERSON = 0
    BACKGROUND = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one node serves one model.

    A token at depth d takes (1 + d / depth_tokens) / prefill_tokens_per_s.  A step of the batch takes
    `step_s`, `weights_s` for each of its first sequences, and `kv_s_per_token` for each of their tokens.
    """

    prefill_tokens_per_s: float
    depth_tokens: float
    step_s: float
    weights_s: float
    kv_s_per_token: float
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True)
class Running:
    """A turn that has been placed at a node.

    `tokens`: what it will hold.  `left_prefill_s`: 0 while it decodes.
    `left_tokens`: of its answer, as expected.
    """

    turn: int
    session: str
    model: str
    tokens: float
    left_prefill_s: float
    left_tokens: float
    waited_s: float
    kind: Kind = Kind.PERSON
    tenant: str = ""

    @property
    def is_decoding(self) -> bool:
        return self.left_prefill_s <= 0.0


@dataclass(frozen=True, slots=True)
class Resident:
    """What an idle session left at a node.

    `growth_tokens`: expected of a turn, prompt and answer.  `is_waited_for`: its next turn is here already.
    `is_spare`: another node has as much of it.
    """

    session: str
    model: str
    tokens: int
    idle_s: float
    growth_tokens: float
    is_waited_for: bool = False
    is_spare: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    """`paces`: of the models it serves.  `residents`: those that lose memory first come first.

    `watts`: beyond idle, while it works.
    """

    name: str
    capacity_bytes: float
    paces: Mapping[str, Pace]
    running: Sequence[Running] = ()
    residents: Sequence[Resident] = ()
    watts: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn that waits at the router.

    `kept_tokens`: of the prompt, known from before, so that a node may have it.  `output_tokens`: expected.
    `nodes`: names of those that could hold it, empty as they may be; at least one.
    """

    turn: int
    session: str
    model: str
    prompt_tokens: int
    kept_tokens: int
    output_tokens: float
    growth_tokens: float
    waited_s: float
    nodes: Sequence[str]
    tenant: str = ""
    kind: Kind = Kind.PERSON

    @property
    def tokens(self) -> float:
        """What it will hold."""
        return self.prompt_tokens + self.output_tokens
