"""What turns teach: bytes per token, output lengths, speeds.  Pure values, bounded memory."""

from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
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
    """What one session (or one model, for sessions not known yet) does.

    `usual_output`: a high quantile of the answers so far, None while there are too few; `mean_output`: their
    mean, None while there are none.
    """

    bytes_per_token: float | None = None
    usual_output: int | None = None
    mean_output: float | None = None
    _outputs: "array[int]" = field(default_factory=lambda: array("q"))

    def learn(self, prompt_bytes: int, prompt_tokens: int, completion_tokens: int) -> None:
        if prompt_bytes > 0 and prompt_tokens > 0:
            seen = max(prompt_bytes / prompt_tokens, MIN_BYTES_PER_TOKEN)
            known = self.bytes_per_token
            self.bytes_per_token = seen if known is None else smooth(known, seen)
        self._outputs.append(completion_tokens)
        del self._outputs[:-_SAMPLES]
        num = len(self._outputs)
        self.mean_output = sum(self._outputs) / num
        if num >= MIN_HABIT_SAMPLES:
            self.usual_output = sorted(self._outputs)[ceil(HABIT_QUANTILE * num) - 1]


_NO_HABITS = Habits()


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
        ratio = self._session(session).bytes_per_token or self._model(model).bytes_per_token
        return ceil(prompt_bytes / (ratio or DEFAULT_BYTES_PER_TOKEN))

    def usual_output(self, session: SessionKey, model: str) -> int:
        """What to reserve for an answer that may be as long as it likes."""
        usual = self._session(session).usual_output
        if usual is None:
            usual = self._model(model).usual_output
        return DEFAULT_OUTPUT_TOKENS if usual is None else usual

    def mean_output(self, session: SessionKey, model: str) -> float:
        """What to expect of an answer, for estimates of waiting."""
        mean = self._session(session).mean_output
        if mean is None:
            mean = self._model(model).mean_output
        return DEFAULT_OUTPUT_TOKENS / 4 if mean is None else mean

    def _session(self, session: SessionKey) -> Habits:
        return self._sessions.get(session, _NO_HABITS)

    def _model(self, model: str) -> Habits:
        return self._models.get(model, _NO_HABITS)


MIN_PREFILL_SAMPLE_TOKENS = 64
MIN_DECODE_SAMPLE_TOKENS = 8


def learn_speed(
    speed: Speed, new_tokens: int, prefill_s: float, completion_tokens: int, decode_s: float
) -> Speed:
    """The speed after one more turn; samples too short to say anything are left out."""
    prefill_tps, decode_tps = speed.prefill_tps, speed.decode_tps
    if new_tokens >= MIN_PREFILL_SAMPLE_TOKENS and prefill_s > 0:
        prefill_tps = smooth(prefill_tps, new_tokens / prefill_s)
    if completion_tokens >= MIN_DECODE_SAMPLE_TOKENS and decode_s > 0:
        decode_tps = smooth(decode_tps, completion_tokens / decode_s)
    return Speed(prefill_tps, decode_tps)
