"""What a router sees of the engines: the views of `cluster.core.mind`, with beliefs that may be wrong."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from cluster.core.mind.expect import Expectations
from cluster.core.mind.views import NodeView, Pace, Resident, Running, TurnView
from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import PREFILL_DEPTH_TOKENS, STEP_OVERHEAD_S, Model
from cluster.simulate.policy import Arrived, Event, Finished


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a node, over what is true of it."""

    prefill: float = 1.0
    decode: float = 1.0
    memory: float = 1.0


EXACT = Belief()


class Sight:
    def __init__(self, chance: Random, belief: Callable[[str, Random], Belief]) -> None:
        self.expected = Expectations()
        self._chance, self._belief = chance, belief
        self._beliefs: dict[str, Belief] = {}
        self._paces: dict[str, dict[str, Pace]] = {}
        self._models: dict[str, Model] = {}
        self._engines: Mapping[str, Engine] = {}
        self._last: dict[str, tuple[Job, float]] = {}

    def see(self, event: Event, engines: Mapping[str, Engine], now: float) -> None:
        self._engines = engines
        match event:
            case Arrived(job):
                if job.model.name not in self._models:
                    self._models[job.model.name] = job.model
                    self._paces.clear()
            case Finished(job):
                self._learn(job, now)
            case _:
                pass

    def _learn(self, job: Job, now: float) -> None:
        before = self._last.get(job.session)
        growth = None if before is None else job.tokens - before[0].tokens
        is_rewritten = growth is None or growth < 0 or job.kept_tokens < job.input_tokens / 2
        self.expected.learn(job.session, job.output_tokens, None if is_rewritten else growth)
        self._last[job.session] = job, now

    def believed(self, node: str) -> Belief:
        if node not in self._beliefs:
            self._beliefs[node] = self._belief(node, self._chance)
        return self._beliefs[node]

    def left_prefill_s(self, job: Job) -> float:
        """As believed; of one that has not begun, with what is resident now."""
        left_s = job.left_s if job.has_started else self._engines[job.node].prefill_s(job)
        return max(left_s, 0.0) / self.believed(job.node).prefill

    def turn(self, job: Job, now: float) -> TurnView:
        return TurnView(
            turn=job.number,
            session=job.session,
            model=job.model.name,
            prompt_tokens=job.input_tokens,
            kept_tokens=job.kept_tokens,
            output_tokens=self.expected.output_tokens(job.session),
            growth_tokens=self.expected.growth_tokens(job.session),
            waited_s=now - job.arrived_s,
            nodes=[name for name, each in self._engines.items() if each.node.holds(job.model, job.tokens)],
        )

    def nodes(self, wanted: set[str], now: float) -> list[NodeView]:
        """`wanted`: sessions whose next turn waits."""
        return [self._node(engine, wanted, now) for engine in self._engines.values()]

    def _node(self, engine: Engine, wanted: set[str], now: float) -> NodeView:
        name = engine.node.name
        running = [self._running(job, now) for job in engine.jobs]
        return NodeView(
            name=name,
            capacity_bytes=engine.node.kv_bytes * self.believed(name).memory,
            paces=self._paces_of(engine),
            running=running,
            residents=sorted(self._residents(engine, wanted, now), key=lambda each: each.is_waited_for),
        )

    def _running(self, job: Job, now: float) -> Running:
        expected = self.expected.output_tokens(job.session)
        is_decoding = job.has_started and job.left_s <= 0.0
        said_tokens = job.output_tokens - job.left_tokens if is_decoding else 0.0
        left_tokens = self.expected.left_tokens(job.session, said_tokens) if is_decoding else expected
        return Running(
            turn=job.number,
            session=job.session,
            model=job.model.name,
            tokens=job.input_tokens + said_tokens + left_tokens,
            left_prefill_s=0.0 if is_decoding else max(self.left_prefill_s(job), 1e-6),
            left_tokens=left_tokens,
            waited_s=now - job.arrived_s,
        )

    def _residents(self, engine: Engine, wanted: set[str], now: float) -> Iterable[Resident]:
        for session in engine.memory.idle:
            job, last_s = self._last[session]
            tokens = engine.memory.resident_tokens(session)
            yield Resident(
                session=session,
                model=job.model.name,
                tokens=tokens,
                idle_s=now - last_s,
                growth_tokens=self.expected.growth_tokens(session),
                is_waited_for=session in wanted,
                is_spare=job.node != engine.node.name,
            )

    def _paces_of(self, engine: Engine) -> dict[str, Pace]:
        node = engine.node
        if node.name not in self._paces:
            raise_by = self.believed(node.name)
            self._paces[node.name] = {
                model: Pace(
                    prefill_tokens_per_s=rate * raise_by.prefill,
                    depth_tokens=PREFILL_DEPTH_TOKENS,
                    step_s=STEP_OVERHEAD_S / raise_by.decode,
                    weights_s=self._models[model].active_bytes / node.bandwidth_bytes_per_s / raise_by.decode,
                    kv_s_per_token=self._models[model].kv_bytes_per_token
                    / node.bandwidth_bytes_per_s
                    / raise_by.decode,
                    kv_bytes_per_token=self._models[model].kv_bytes_per_token,
                )
                for model, rate in node.prefill_tokens_per_s.items()
                if model in self._models
            }
        return self._paces[node.name]
