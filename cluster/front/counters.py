"""What a front has done since it began."""

from dataclasses import dataclass


@dataclass(slots=True)
class FrontCounters:
    """Totals.  `num_own_extensions`: steps that the front gave itself because the router was late."""

    num_turns_started: int = 0
    num_turns_ended: int = 0
    num_turns_failed: int = 0
    num_no_room: int = 0
    num_stale_tickets: int = 0
    num_refused_draining: int = 0
    num_clients_gone: int = 0
    num_preempted: int = 0
    num_streams_lost: int = 0
    num_extensions_asked: int = 0
    num_own_extensions: int = 0
    num_evictions: int = 0
    num_embeds: int = 0
    num_measures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
