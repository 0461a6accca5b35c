"""What bounds a front: sizes in bytes and tokens, times in seconds."""

import os
from dataclasses import dataclass, field

FRAMES_PER_CORE_S = 100.0
"""A frame costs front and gateway together some 0.4 ms, measured: so all of them take 4 % of the cores."""


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """`step_tokens`: a lease grows by it.  `leeway_tokens`: a lease with fewer left grows now or ends,
    because a real engine is always a few tokens ahead of what was read from it.
    `stall_s`: an engine that says nothing for so long while it answers, or that does not free a
    sequence for so long, is taken for dead.  `pending_bytes`: how far a client may lag behind.
    `pace_s`: tokens that come faster than this travel in one frame; nobody reads that fast.
    `prepared_tokens`: of prompts that were measured and wait for their place.
    `frames_per_s`: of all turns together, where there are so many that the pace alone allows more.
    """

    step_tokens: int = 256
    leeway_tokens: int = 8
    stall_s: float = 300.0
    prepare_s: float = 60.0
    prepared_tokens: int = 1_000_000
    embed_s: float = 300.0
    evict_s: float = 10.0
    pace_s: float = 0.02
    frames_per_s: float = field(default_factory=lambda: FRAMES_PER_CORE_S * (os.cpu_count() or 1))
    pending_bytes: int = 8 * 1024 * 1024
    body_bytes: int = 64 * 1024 * 1024
    body_s: float = 30.0
    write_s: float = 60.0
    idle_connection_s: float = 30.0
    num_connections: int = 1024
    num_remembered_leases: int = 65_536
    report_s: float = 1.0
    post_s: float = 5.0
    retry_s: float = 0.2
    max_retry_s: float = 2.0
    num_pending_events: int = 1024
    drain_s: float = 120.0
    preempt_s: float = 10.0
    close_s: float = 5.0
