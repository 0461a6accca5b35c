"""What a router sees of the engines: the views of `cluster.core.mind`, made of what is believed of nodes."""

from collections.abc import Mapping, Sequence

from cluster.core.mind.expect import Expectations
from cluster.core.mind.rehearse import Thinker
from cluster.core.mind.views import NodeView, Pace, Resident, Running, TurnView
from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.lab import PREFILL_DEPTH_TOKENS, STEP_OVERHEAD_S, Model
from cluster.simulate.policy import Arrived, Event, Finished


class Sight:
    def __init__(self) -> None:
        self.expected = Expectations()
        self._paces: dict[str, dict[str, Pace]] = {}
        self._models: dict[str, Model] = {}
        self._engines: Mapping[str, Engine] = {}
        self._rehearsed: dict[str, str] = {}
        self._homes: dict[str, str] = {}
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
        self._rehearsed.pop(job.session, None)

    def left_prefill_s(self, job: Job) -> float:
        """As believed; of one that has not begun, with what is resident now."""
        engine = self._engines[job.node]
        if not job.has_started:
            return engine.prefill_s(job)
        whole_s = engine.node.prefill_s(job.model, job.hit_tokens, job.input_tokens - job.hit_tokens)
        return whole_s * max(job.left_s, 0.0) / job.prefill_s

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
            nodes=[name for name, each in self._engines.items() if each.holds(job)],
        )

    def thinkers(self, away: set[str], now: float) -> list[Thinker]:
        """Sessions of whom something lies somewhere and nothing waits or runs.  `away`: those that wait."""
        busy = away | {job.session for engine in self._engines.values() for job in engine.jobs}
        there = {session for engine in self._engines.values() for session in engine.memory.idle}
        return [self._thinker(session, now) for session in sorted(there - busy)]

    def _thinker(self, session: str, now: float) -> Thinker:
        job, last_s = self._last[session]
        growth, output = self.expected.growth_tokens(session), self.expected.output_tokens(session)
        turn = TurnView(
            turn=-1,
            session=session,
            model=job.model.name,
            prompt_tokens=job.tokens + max(1, int(growth - output)),
            kept_tokens=job.tokens,
            output_tokens=output,
            growth_tokens=growth,
            waited_s=0.0,
            nodes=[name for name, each in self._engines.items() if each.holds(job)],
        )
        return Thinker(turn, now - last_s)

    def rehearsed(self, session: str, node: str, now: float) -> Job:
        """The session's context as a job without an answer."""
        job, _ = self._last[session]
        self._rehearsed[session] = node
        return Job(-1, session, job.model, job.tokens, 0, job.tokens, now)

    def free(self) -> list[str]:
        """Nodes with nothing to do."""
        return [name for name, engine in self._engines.items() if not engine.jobs]

    def nodes(self, wanted: set[str], now: float) -> list[NodeView]:
        """`wanted`: sessions whose next turn waits."""
        self._find_homes()
        return [self._node(engine, wanted, now) for engine in self._engines.values()]

    def _node(self, engine: Engine, wanted: set[str], now: float) -> NodeView:
        name = engine.node.name
        running = [self._running(job, now) for job in engine.jobs if job is not engine.rehearsal]
        return NodeView(
            name=name,
            capacity_bytes=engine.node.kv_bytes,
            paces=self._paces_of(engine),
            running=running,
            residents=[
                self._resident(engine, session, wanted, now)
                for session in self.ranked(name, engine.memory.idle, wanted)
            ],
        )

    def ranked(self, node: str, idle: Sequence[str], wanted: set[str]) -> Sequence[str]:
        """In the order in which they lose memory there: copies of what lies elsewhere first, wanted last."""
        return sorted(idle, key=lambda each: 2 if each in wanted else self._homes.get(each, node) == node)

    def _find_homes(self) -> None:
        """Where most of each session lies; of equals, where it was rehearsed."""
        best: dict[str, tuple[int, bool, str]] = {}
        for name, engine in self._engines.items():
            for session in engine.memory.idle:
                is_latest = self._rehearsed.get(session, self._last[session][0].node) == name
                copy = (engine.memory.resident_tokens(session), is_latest, name)
                best[session] = max(best.get(session, copy), copy)
        self._homes = {session: name for session, (_, _, name) in best.items()}

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

    def _resident(self, engine: Engine, session: str, wanted: set[str], now: float) -> Resident:
        job, last_s = self._last[session]
        return Resident(
            session=session,
            model=job.model.name,
            tokens=engine.memory.resident_tokens(session),
            idle_s=now - last_s,
            growth_tokens=self.expected.growth_tokens(session),
            is_waited_for=session in wanted,
            is_spare=self._homes[session] != engine.node.name,
        )

    def _paces_of(self, engine: Engine) -> dict[str, Pace]:
        node = engine.node
        if node.name not in self._paces:
            self._paces[node.name] = {
                model: Pace(
                    prefill_tokens_per_s=rate,
                    depth_tokens=PREFILL_DEPTH_TOKENS,
                    step_s=STEP_OVERHEAD_S,
                    weights_s=self._models[model].active_bytes / node.bandwidth_bytes_per_s,
                    kv_s_per_token=self._models[model].kv_bytes_per_token / node.bandwidth_bytes_per_s,
                    kv_bytes_per_token=self._models[model].kv_bytes_per_token,
                )
                for model, rate in node.prefill_tokens_per_s.items()
                if model in self._models
            }
        return self._paces[node.name]
