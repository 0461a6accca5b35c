"""How much KV memory a turn needs, and whether it can ever have it.

need = prompt + output to reserve
prompt: exact where measured, else bytes / (bytes per token of this session) with a margin
output: max_tokens if small or usual, else what this session really uses, extended while it runs
"""

from dataclasses import dataclass
from math import ceil

from cluster.core.errors import ContextLengthExceeded, HearthError, InvalidField, NeverFits
from cluster.core.fleet import Fleet, Group, Replica
from cluster.core.learning import Memory
from cluster.core.state import Turn

STEP_TOKENS = 256
"""An answer that outgrows its reservation gets more in steps of this."""

ESTIMATE_MARGIN = 1.1
TEMPLATE_TOKENS = 16
"""What a chat template adds around a message that bytes do not show."""

NEAR_LIMIT = 1.5
"""An estimate within this factor of a limit is not trusted: the tokenizer is asked."""

SMALL_HEADROOM_SHARE = 8
"""At most an eighth of a replica's KV memory is held back for growing answers."""


@dataclass(frozen=True, slots=True)
class Need:
    """Tokens.  `limit_tokens`: prompt + the most the client allows; `open_ended`: it may grow that far."""

    prompt_tokens: int
    output_tokens: int
    limit_tokens: int | None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def open_ended(self) -> bool:
        return self.limit_tokens is None or self.limit_tokens > self.tokens


def prompt_of(turn: Turn, memory: Memory) -> int:
    """Its prompt's tokens: exact where known, else an estimate with a margin."""
    if turn.prompt_tokens is not None:
        return turn.prompt_tokens
    arrived = turn.arrived
    guess = memory.prompt_tokens(arrived.session, arrived.model, arrived.prompt_bytes)
    return ceil(guess * ESTIMATE_MARGIN) + TEMPLATE_TOKENS


def need_of(turn: Turn, memory: Memory) -> Need:
    """What to reserve for this turn."""
    arrived, prompt = turn.arrived, prompt_of(turn, memory)
    usual = ceil(memory.usual_output(arrived.session, arrived.model) * ESTIMATE_MARGIN)
    if arrived.max_tokens is None:
        return Need(prompt, max(usual - turn.generated_tokens, STEP_TOKENS), None)
    left = max(arrived.max_tokens - turn.generated_tokens, 0)
    output = min(left, max(usual - turn.generated_tokens, STEP_TOKENS))
    return Need(prompt, output, prompt + left)


def clamp(need: Need, replica: Replica) -> Need:
    """The need at this replica: an open end cannot reserve more than the replica could ever hold, and
    an unmeasured prompt is not kept out by our own margin."""
    most = replica.largest_tokens
    prompt = min(need.prompt_tokens, most)
    return Need(prompt, min(need.output_tokens, most - prompt), need.limit_tokens)


def could_hold(turn: Turn, need: Need, replica: Replica) -> bool:
    """Whether the replica, empty, could hold the turn as far as it has come; an estimate never says no."""
    least = need.prompt_tokens + min(need.output_tokens, 1)
    return turn.prompt_tokens is None or least <= replica.largest_tokens


def wants_measure(turn: Turn, need: Need, group: Group) -> Replica | None:
    """Who shall say the exact size before the turn is placed, where the estimate is too near a limit."""
    if turn.measured or not group.measurers:
        return None
    needed = need.prompt_tokens + (turn.arrived.max_tokens or 1)
    return group.measurers[0] if needed * NEAR_LIMIT > group.largest_tokens else None


def impossible(turn: Turn, group: Group) -> HearthError | None:
    """Why no replica could ever hold the turn, in numbers; None while one could, or nobody knows.

    Judged on exact sizes alone: an estimate never refuses.
    """
    if turn.prompt_tokens is None or not group.replicas:
        return None
    prompt = turn.prompt_tokens - turn.generated_tokens
    asked = turn.arrived.max_tokens
    completion = turn.generated_tokens + 1 if asked is None else asked
    total = prompt + completion
    window, capacity = group.window_tokens, group.largest_tokens
    if total > window:
        return ContextLengthExceeded(window, prompt, completion)
    return NeverFits(window, capacity, prompt, completion) if total > capacity else None


def incapable(turn: Turn, fleet: Fleet) -> HearthError | None:
    """Why none of the model's replicas can do what the turn asks for; None: one can, or none is there."""
    missing = sorted(turn.arrived.needs - fleet.features)
    if not fleet.replicas or not missing:
        return None
    there = ", ".join(sorted(fleet.features))
    return InvalidField(
        "model",
        f"`{turn.arrived.model}` cannot do: {', '.join(missing)} (it can: {there}).",
        "Choose another model; `GET /v1/models` lists what each one can do.",
    )


def headroom(replica: Replica, num_growing: int) -> int:
    """Tokens to keep free for answers that may still grow."""
    return min(num_growing * STEP_TOKENS, replica.ready.capacity.kv_tokens // SMALL_HEADROOM_SHARE)
