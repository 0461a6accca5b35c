"""One node at work: a queue for prefill, one prefill at a time, a batch that decodes, KV memory.

    submit ──> waiting ──fits──> prefilling ──first token──> decoding ──last token──> resident

Between two events all rates are constant, so each is advanced exactly: no time step, no rounding but that of
floats.  `Device` says what prefill and decode do to each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.simulate.job import Job
from cluster.simulate.lab import STEP_OVERHEAD_S, WEIGHTS_READ_CAP, Node
from cluster.simulate.memory import Memory
from cluster.simulate.orders import Orders


@dataclass(frozen=True, slots=True)
class Device:
    """What is left of each speed while a prefill runs beside decodes."""

    prefill_share: float
    decode_share: float


UNDISTURBED = Device(1.0, 1.0)
SHARED = Device(0.7, 0.3)
"""Nearer to stock engines, as the reference simulation takes it."""

DEVICES = {"shared": SHARED, "undisturbed": UNDISTURBED}

DONE_TOKENS = 1e-6
"""Less than this of an answer is a rounding error of floats."""


class Engine:
    """Times are virtual and only grow.  `next_s`: when `step` has something to do, inf for never.

    `node`: as everybody believes it.  `real`: as it works; None: just so.
    """

    def __init__(self, node: Node, device: Device, orders: Orders, real: Node | None = None) -> None:
        self.node, self.device, self.real = node, device, real or node
        self.memory = Memory(self.real.kv_bytes)
        self.waiting: list[Job] = []
        self.prefilling: Job | None = None
        self.decoding: list[Job] = []
        self.next_s = math.inf
        self.rehearsal: Job | None = None
        self.rehearsed_s = 0.0
        self._orders = orders
        self._chunk_left_s = 0.0
        self._now = 0.0

    @property
    def jobs(self) -> Sequence[Job]:
        """All that is here, in no particular order."""
        prefilling = () if self.prefilling is None else (self.prefilling,)
        return (*self.waiting, *prefilling, *self.decoding)

    def holds(self, job: Job) -> bool:
        """Whether it could, empty.  How long a sequence may be an engine says, so nobody is mistaken."""
        return all(node.holds(job.model, job.tokens) for node in (self.node, self.real))

    def hit_tokens(self, job: Job) -> int:
        """How much of the job's prompt is resident now."""
        return min(self.memory.resident_tokens(job.session), job.kept_tokens, job.input_tokens - 1)

    def prefill_s(self, job: Job) -> float:
        """The job's own prefill as believed, undisturbed, with what is resident now."""
        hit_tokens = self.hit_tokens(job)
        return self.node.prefill_s(job.model, hit_tokens, job.input_tokens - hit_tokens)

    def submit(self, job: Job, now: float) -> list[Job]:
        """Returns the jobs whose prefill begins with it.  A rehearsal makes way."""
        self.end_rehearsal(now)
        self.advance(now)
        job.node = self.node.name
        self.waiting.append(job)
        return self._go_on()

    def withdraw(self, job: Job, now: float) -> list[Job]:
        """Takes back a job that waits and has not begun.  Returns the jobs whose prefill begins now."""
        self.advance(now)
        self.waiting.remove(job)
        job.node = ""
        return self._go_on()

    def rehearse(self, job: Job, now: float) -> None:
        """Prefills a prompt ahead of its turn, at a node where nothing runs.  `job` has no answer."""
        if self.jobs or not self.memory.fits(job):
            return
        self.advance(now)
        job.node = self.node.name
        self.rehearsal = job
        self.waiting.append(job)
        self._go_on()

    def end_rehearsal(self, now: float, session: str | None = None) -> None:
        """Its end, or that of this session's: what is done of it stays resident."""
        job = self.rehearsal
        if job is None or (session is not None and job.session != session):
            return
        self.advance(now)
        passed_s = job.prefill_s - max(job.left_s, 0.0)
        self.rehearsed_s += passed_s
        done_tokens = self.real.prefilled_tokens(job.model, job.hit_tokens, passed_s)
        self.memory.stop(job, min(job.hit_tokens + done_tokens, job.input_tokens))
        self.rehearsal = self.prefilling = None
        self.waiting = [each for each in self.waiting if each is not job]
        self._go_on()

    def cut(self, session: str, tokens: int) -> None:
        self.memory.cut(session, tokens)

    def advance(self, now: float) -> None:
        """Lets time pass until `now`, at most until `next_s`."""
        passed_s, self._now = now - self._now, now
        prefill_speed, step_s = self._rates()
        if self.prefilling is not None:
            self.prefilling.left_s -= passed_s * prefill_speed
            self._chunk_left_s -= passed_s * prefill_speed
        for job in self.decoding:
            job.left_tokens -= passed_s / step_s

    def step(self, now: float) -> tuple[list[Job], list[Job], list[Job]]:
        """Carries out what is due at `now`: jobs that began, that said their first token, that finished."""
        self.advance(now)
        first = self._end_chunk() if self.prefilling is not None and now >= self._prefill_ends_s else []
        finished = [job for job in self.decoding if job.left_tokens <= DONE_TOKENS]
        for job in finished:
            self.decoding.remove(job)
            self.memory.end(job)
            job.finished_s = now
        return self._go_on(), first, finished

    def _end_chunk(self) -> list[Job]:
        job, self.prefilling = self.prefilling, None
        assert job is not None
        if job.left_s > self._chunk_left_s:
            self.waiting.insert(0, job)
            return []
        if job is self.rehearsal:
            self.prefilling = job
            self.end_rehearsal(self._now)
            return []
        job.left_s = 0.0
        job.first_token_s = self._now
        job.left_tokens = job.output_tokens - 1.0
        self.decoding.append(job)
        return [job]

    def _go_on(self) -> list[Job]:
        """Begins the next prefill if none runs, and says when something is due next."""
        began = self._begin() if self.prefilling is None and self.waiting else []
        prefill_speed, step_s = self._rates()
        self._prefill_ends_s = math.inf
        if self.prefilling is not None:
            left_s = min(self.prefilling.left_s, self._chunk_left_s)
            self._prefill_ends_s = self._now + max(left_s, 0.0) / prefill_speed
        fewest = min((job.left_tokens for job in self.decoding), default=math.inf)
        self.next_s = min(self._prefill_ends_s, self._now + max(fewest, 0.0) * step_s)
        return began

    def _begin(self) -> list[Job]:
        job = self._orders.next(self.waiting, self._fits, self._now)
        if job is None:
            return []
        self.waiting.remove(job)
        is_new = not job.has_started
        if is_new:
            job.hit_tokens = self.memory.begin(job, lambda idle: self._orders.victims(job, idle, self._now))
            new_tokens = job.input_tokens - job.hit_tokens
            job.prefill_s = job.left_s = self.real.prefill_s(job.model, job.hit_tokens, new_tokens)
            job.started_s = self._now
        self.prefilling, self._chunk_left_s = job, self._orders.chunk_s(job)
        return [job] if is_new and job is not self.rehearsal else []

    def _fits(self, job: Job) -> bool:
        return job.has_started or self.memory.fits(job)

    def _rates(self) -> tuple[float, float]:
        """The speed of prefill, of 1, and the seconds of a decode step: one token for all that decode."""
        if not self.decoding:
            return 1.0, math.inf
        is_both = self.prefilling is not None
        decode_share = self.device.decode_share if is_both else 1.0
        return self.device.prefill_share if is_both else 1.0, self._step_s() / decode_share

    def _step_s(self) -> float:
        """Each model's step reads its own weights; a sequence counts with half of its answer said."""
        batches: dict[str, int] = {}
        read_bytes = 0.0
        for job in self.decoding:
            batch = batches[job.model.name] = batches.get(job.model.name, 0) + 1
            read_bytes += (job.input_tokens + job.output_tokens / 2) * job.model.kv_bytes_per_token
            read_bytes += job.model.active_bytes if batch <= WEIGHTS_READ_CAP else 0.0
        return read_bytes / self.real.bandwidth_bytes_per_s + STEP_OVERHEAD_S
