"""What people would have noticed: figures of one run, from its turns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from cluster.simulate.job import Job


@dataclass(frozen=True, slots=True)
class Figures:
    """`mean_turn_s`: from arrival to the last token.  `ttft_*`: to the first.

    `worst_to_median_session`: of the sessions' mean turns.  `hit_rate`: prompt tokens found resident, of all.
    `longest_wait_s`: to the first token, less the turn's own undisturbed prefill.  `span_s`: virtual time.
    """

    mean_turn_s: float
    ttft_p50_s: float
    ttft_p99_s: float
    worst_to_median_session: float
    hit_rate: float
    longest_wait_s: float
    num_turns: int
    num_sessions: int
    span_s: float


def figures_of(jobs: Sequence[Job]) -> Figures:
    """`jobs`: finished ones, at least one."""
    ttfts = sorted(job.first_token_s - job.arrived_s for job in jobs)
    sessions: dict[str, list[float]] = {}
    for job in jobs:
        sessions.setdefault(job.session, []).append(job.finished_s - job.arrived_s)
    means = [mean(turns) for turns in sessions.values()]
    return Figures(
        mean_turn_s=mean(job.finished_s - job.arrived_s for job in jobs),
        ttft_p50_s=quantile(ttfts, 0.5),
        ttft_p99_s=quantile(ttfts, 0.99),
        worst_to_median_session=max(means) / median(means),
        hit_rate=sum(job.hit_tokens for job in jobs) / sum(job.input_tokens for job in jobs),
        longest_wait_s=max(job.first_token_s - job.arrived_s - job.prefill_s for job in jobs),
        num_turns=len(jobs),
        num_sessions=len(sessions),
        span_s=max(job.finished_s for job in jobs),
    )


def mean_figures(runs: Iterable[Figures]) -> dict[str, float]:
    """The mean of each figure over runs of several seeds."""
    rows = list(runs)
    return {name: mean(getattr(row, name) for row in rows) for name in Figures.__slots__}


def quantile(ranked: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, by linear interpolation.  `ranked`: ascending."""
    at = share * (len(ranked) - 1)
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])
