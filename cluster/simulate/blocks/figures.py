"""What a replay comes to: hits against the pooled cache, and how even the work is."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from cluster.simulate.blocks.replay import Lab, Placed
from cluster.simulate.figures import quantile

WINDOW_S = 300.0


@dataclass(frozen=True, slots=True)
class BlockFigures:
    """`hit_share_of_pooled`: blocks found resident, of those found in one cache as large as all.  Over 1
    where forgetting apart happens to forget better.  `hit_rate`: of all blocks.

    Work are the prefilled tokens: those of a prompt that were not resident.  `max_to_mean_*`: of the nodes,
    over the whole trace; `worst_5min_max_to_mean_work` and `mean_5min_*`: over windows of 5 minutes.
    `busy_share`: of the time, in prefill, a mean of the nodes.
    """

    hit_share_of_pooled: float
    max_to_mean_work: float
    mean_5min_max_to_mean_work: float
    worst_5min_max_to_mean_work: float
    max_to_mean_output: float
    hit_rate: float
    busy_share: float
    first_token_mean_s: float
    first_token_p50_s: float
    first_token_p99_s: float
    hit_blocks: int
    pooled_hit_blocks: int
    work_tokens: int
    output_tokens: int
    num_prompts: int


def block_figures(lab: Lab, placed: Sequence[Placed], pooled_hit_blocks: int) -> BlockFigures:
    """`placed`: at least one, in the order of arrival."""
    waits = sorted(each.first_token_s for each in placed)
    windows: dict[int, list[Placed]] = {}
    for each in placed:
        windows.setdefault(int(each.prompt.at_s // WINDOW_S), []).append(each)
    evenness = [_max_to_mean(_work_by_node(lab, window)) for window in windows.values()]
    hit_blocks = sum(each.hit_blocks for each in placed)
    work = _work_by_node(lab, placed)
    output = [0] * lab.num_nodes
    for each in placed:
        output[each.node] += each.prompt.output_tokens
    span_s = max(each.prompt.at_s + each.first_token_s for each in placed)
    return BlockFigures(
        hit_share_of_pooled=hit_blocks / pooled_hit_blocks if pooled_hit_blocks else 1.0,
        max_to_mean_work=_max_to_mean(work),
        mean_5min_max_to_mean_work=mean(evenness),
        worst_5min_max_to_mean_work=max(evenness),
        max_to_mean_output=_max_to_mean(output),
        hit_rate=hit_blocks / sum(len(each.prompt.blocks) for each in placed),
        busy_share=sum(work) / lab.prefill_tokens_per_s / lab.num_nodes / span_s,
        first_token_mean_s=mean(waits),
        first_token_p50_s=quantile(waits, 0.5),
        first_token_p99_s=quantile(waits, 0.99),
        hit_blocks=hit_blocks,
        pooled_hit_blocks=pooled_hit_blocks,
        work_tokens=sum(work),
        output_tokens=sum(output),
        num_prompts=len(placed),
    )


def _work_by_node(lab: Lab, placed: Sequence[Placed]) -> list[int]:
    work = [0] * lab.num_nodes
    for each in placed:
        work[each.node] += each.work_tokens
    return work


def _max_to_mean(amounts: Sequence[int]) -> float:
    """1 where there is nothing to share out."""
    return max(amounts) / mean(amounts) if any(amounts) else 1.0
