"""DualMap (arXiv 2602.06502): two candidates by hash, the cache's one unless it would be too late."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job
from cluster.simulate.peers.at_once import AtOnce
from cluster.simulate.peers.estimate import ttft_s
from cluster.simulate.policy import Arrived, Event, Finished, Place, SaidFirst

SLO_S = 5.0
"""Time to first token.  No public default is known to us; 2 to 60 s give much the same at home."""


class DualMap(AtOnce):
    """Of two nodes that the session's hash names, the one with more of the prompt, unless its time to first
    token would miss the SLO; then, and for a new session, the one with the earlier first token.

    A turn that waits and would miss the SLO moves to its other candidate where that is earlier (the paper's
    rebalancing of hotspots).
    """

    def handle(self, event: Event, engines: Mapping[str, Engine], now: float) -> Sequence[Place]:
        match event:
            case Arrived():
                return super().handle(event, engines, now)
            case SaidFirst() | Finished():
                return self._move(list(engines.values()), now)
            case _:
                return ()

    def choose(self, job: Job, engines: Sequence[Engine]) -> Engine:
        pair = _pair(job.session, engines)
        hot = max(pair, key=lambda engine: engine.hit_tokens(job))
        if hot.hit_tokens(job) and ttft_s(hot, job) <= SLO_S:
            return hot
        return self.least(pair, lambda engine: ttft_s(engine, job))

    def _move(self, engines: Sequence[Engine], now: float) -> Sequence[Place]:
        """The first such turn: the queues are others once it has moved."""
        for engine in engines:
            for job in engine.waiting:
                here_s = ttft_s(engine, job)
                if now - job.arrived_s + here_s <= SLO_S:
                    continue
                able = [each for each in engines if each.node.holds(job.model, job.tokens)]
                for other in _pair(job.session, able):
                    if other is not engine and ttft_s(other, job) < here_s:
                        return (Place(job, other.node.name),)
        return ()


def _pair(session: str, engines: Sequence[Engine]) -> Sequence[Engine]:
    """Two different ones by two hashes; all, where there are no more."""
    if len(engines) <= 2:
        return engines
    digest = blake2b(session.encode(), digest_size=16).digest()
    first = int.from_bytes(digest[:8]) % len(engines)
    second = int.from_bytes(digest[8:]) % (len(engines) - 1)
    return engines[first], engines[second + (second >= first)]
