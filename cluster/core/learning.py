"""What turns teach: bytes per token, output lengths, speeds.  Pure values, bounded memory."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from math import ceil

from cluster.core.facts import Speed
from cluster.core.ids import SessionKey

DEFAULT_BYTES_PER_TOKEN = 3.0
"""English prose has about four, code and JSON about three; too low only reserves a little too much."""

MIN_BYTES_PER_TOKEN = 0.25
"""A tokenizer cannot make more than one token of a byte, but a chat template adds tokens of its own."""

DEFAULT_OUTPUT_TOKENS = 512
"""Reserved for an answer of a session that nothing is known about."""

HABIT_QUANTILE = 0.95
MIN_HABIT_SAMPLES = 4
_SAMPLES = 32
_ALPHA = 0.3
_MAX_SESSIONS = 4096


def smooth(old: float, new: float) -> float:
    """An exponential average: a third of the way to the new value."""
    return old + _ALPHA * (new - old)


@dataclass(slots=True)
class Habits:
    """What one session (or one model, for sessions not known yet) does."""

    bytes_per_token: float | None = None
    outputs: deque[int] = field(default_factory=lambda: deque[int](maxlen=_SAMPLES))

    def learn(self, prompt_bytes: int, prompt_tokens: int, completion_tokens: int) -> None:
        if prompt_bytes > 0 and prompt_tokens > 0:
            seen = max(prompt_bytes / prompt_tokens, MIN_BYTES_PER_TOKEN)
            known = self.bytes_per_token
            self.bytes_per_token = seen if known is None else smooth(known, seen)
        self.outputs.append(completion_tokens)

    def usual_output(self) -> int | None:
        """A high quantile of the answers so far; None while there are too few."""
        if len(self.outputs) < MIN_HABIT_SAMPLES:
            return None
        ranked = sorted(self.outputs)
        return ranked[ceil(HABIT_QUANTILE * len(ranked)) - 1]

    def mean_output(self) -> float | None:
        return sum(self.outputs) / len(self.outputs) if self.outputs else None


class Memory:
    """Habits by session, least recently used forgotten first, and by model behind them."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[SessionKey, Habits] = OrderedDict()
        self._models: dict[str, Habits] = {}

    def learn(
        self, session: SessionKey, model: str, prompt_bytes: int, prompt_tokens: int, completion_tokens: int
    ) -> None:
        habits = self._sessions.setdefault(session, Habits())
        self._sessions.move_to_end(session)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        for known in (habits, self._models.setdefault(model, Habits())):
            known.learn(prompt_bytes, prompt_tokens, completion_tokens)

    def prompt_tokens(self, session: SessionKey, model: str, prompt_bytes: int) -> int:
        """The expected size of a prompt, from its bytes."""
        ratios = (habits.bytes_per_token for habits in self._known(session, model))
        ratio = next((ratio for ratio in ratios if ratio is not None), DEFAULT_BYTES_PER_TOKEN)
        return ceil(prompt_bytes / ratio)

    def usual_output(self, session: SessionKey, model: str) -> int:
        """What to reserve for an answer that may be as long as it likes."""
        usual = (habits.usual_output() for habits in self._known(session, model))
        return next((tokens for tokens in usual if tokens is not None), DEFAULT_OUTPUT_TOKENS)

    def mean_output(self, session: SessionKey, model: str) -> float:
        """What to expect of an answer, for estimates of waiting."""
        means = (habits.mean_output() for habits in self._known(session, model))
        return next((mean for mean in means if mean is not None), DEFAULT_OUTPUT_TOKENS / 4)

    def _known(self, session: SessionKey, model: str) -> list[Habits]:
        known = (self._sessions.get(session), self._models.get(model))
        return [habits for habits in known if habits is not None]


MIN_PREFILL_SAMPLE_TOKENS = 64
MIN_DECODE_SAMPLE_TOKENS = 8


def learn_speed(
    speed: Speed, new_tokens: int, prefill_s: float, completion_tokens: int, decode_s: float
) -> Speed:
    """The speed after one more turn; samples too short to say anything are left out."""
    if new_tokens >= MIN_PREFILL_SAMPLE_TOKENS and prefill_s > 0:
        speed = replace(speed, prefill_tps=smooth(speed.prefill_tps, new_tokens / prefill_s))
    if completion_tokens >= MIN_DECODE_SAMPLE_TOKENS and decode_s > 0:
        speed = replace(speed, decode_tps=smooth(speed.decode_tps, completion_tokens / decode_s))
    return speed
