"""The KV memory of one node: what running turns hold, and what idle sessions left behind."""

from collections.abc import Callable, Iterable, Sequence

from cluster.simulate.job import Job
from cluster.simulate.lab import Model


class Memory:
    """Sessions' prefixes, in tokens.  An idle session loses tokens from its tail; a running one none."""

    def __init__(self, capacity_bytes: float) -> None:
        self.capacity_bytes = capacity_bytes
        self.running_bytes = 0
        self.idle_bytes = 0
        self._idle: dict[str, tuple[Model, int]] = {}

    @property
    def idle(self) -> Sequence[str]:
        """Sessions with something resident and nothing running, the longest unused first."""
        return tuple(self._idle)

    def resident_tokens(self, session: str) -> int:
        """What an idle session has here."""
        kept = self._idle.get(session)
        return kept[1] if kept else 0

    def fits(self, job: Job) -> bool:
        """Whether it fits beside what runs, were all idle sessions evicted."""
        return self.running_bytes + job.kv_bytes <= self.capacity_bytes

    def cut(self, session: str, tokens: int) -> None:
        """The session's context was rewritten behind its first `tokens`: the rest is of no use."""
        kept = self._idle.get(session)
        if kept and kept[1] > tokens:
            self._set(session, kept[0], tokens)

    def begin(self, job: Job, victims: Callable[[Sequence[str]], Iterable[str]]) -> int:
        """Makes room for a job that fits, and returns how many tokens of its prompt are there already."""
        hit_tokens = min(self.resident_tokens(job.session), job.kept_tokens, job.input_tokens - 1)
        self._set(job.session, job.model, 0)
        self.running_bytes += job.kv_bytes
        if self.running_bytes + self.idle_bytes > self.capacity_bytes:
            for victim in tuple(victims(self.idle)):
                over = self.running_bytes + self.idle_bytes - self.capacity_bytes
                if over <= 0:
                    break
                self._shorten(victim, over)
        return hit_tokens

    def end(self, job: Job) -> None:
        """The answer is whole: prompt and answer stay resident, as the latest used."""
        self.running_bytes -= job.kv_bytes
        self._set(job.session, job.model, job.tokens)

    def stop(self, job: Job, tokens: int) -> None:
        """The job ends early: so much of its prompt stays."""
        self.running_bytes -= job.kv_bytes
        self._set(job.session, job.model, tokens)

    def _shorten(self, session: str, by_bytes: float) -> None:
        model, tokens = self._idle[session]
        self._set(session, model, max(0, tokens - int(-(-by_bytes // model.kv_bytes_per_token))))

    def _set(self, session: str, model: Model, tokens: int) -> None:
        self.idle_bytes += (tokens - self.resident_tokens(session)) * model.kv_bytes_per_token
        if tokens:
            self._idle[session] = model, tokens
        else:
            self._idle.pop(session, None)
