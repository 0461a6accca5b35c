"""What weighs how much.

Harm, turns ahead and the price of room were chosen by simulation: docs/adr/0008 has their neighbours too.
Ageing, chunks and 90 % of the room are those of an earlier simulation.  All others are our choice.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """`harm_decoding`: of a second of prefill, for each answer that is being said there.

    `age_s`: after so long a wait a turn counts half as long as it is.  `key_floor_s`: turns shorter than this
    are alike.  `chunk_s`: of prefill, before another may go on.
    `turns_ahead`: of the session, that its place decides about.  `busy_horizon_s`: who returns within it is a
    neighbour.  `room_share`: of KV memory, beyond which the working set costs; `room_horizon_s`: who returns
    within it belongs to that; `room_price`: seconds for each second that its prefill would take again.
    `evict_horizon_s`: who returns within it misses what was evicted.
    `prefill_share`: of its speed, that prefill keeps while answers are being said.
    `energy_s_per_joule`: what background turns pay for it.
    `rehearsal_horizon_s`: who returns within it is worth a rehearsal; `rehearsal_price`: least gain, for each
    second of its prefill.
    """

    harm_decoding: float = 1.0
    harm_overtaken: float = 1.0
    age_s: float = 20.0
    key_floor_s: float = 0.3
    chunk_s: float = 1.0
    turns_ahead: float = 3.0
    busy_horizon_s: float = 60.0
    neighbour: float = 0.3
    room_share: float = 0.9
    room_horizon_s: float = 600.0
    room_price: float = 2.0
    evict_horizon_s: float = 600.0
    prefill_share: float = 0.7
    energy_s_per_joule: float = 0.01
    rehearsal_horizon_s: float = 600.0
    rehearsal_price: float = 0.1


DEFAULT = Weights()
