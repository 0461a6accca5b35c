"""What replicas and turns are made of, as far as the core cares.  Sizes in tokens."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.core.ids import DeploymentId, LeaseId, SessionKey, TurnId
from cluster.core.layout import Layout


class Locality(StrEnum):
    """Where an answer of this model is computed."""

    LOCAL = "local"
    HOSTED = "hosted"


class Privacy(StrEnum):
    """Where a turn may be computed; the strictest label that applies to it wins."""

    LOCAL_ONLY = "local-only"
    LOCAL_FIRST = "local-first"
    ANY = "any"


class Feature(StrEnum):
    """What a replica can do; a turn needs all of the features it asks for."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    IMAGES = "images"
    GRAMMAR = "grammar"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a replica holds, as its engine reports it.

    `kv_tokens`: KV memory, shared by all its sequences.  `num_slots`: sequences at once.
    `window_tokens`: the longest single sequence.  `block_tokens`: reservations round up to it.
    `resident_holds_slot`: an idle session keeps its sequence slot (llama.cpp), not only blocks (vLLM).
    `estimated`: not from the engine but declared or learned (upstreams that hide their memory).
    """

    kv_tokens: int
    num_slots: int
    window_tokens: int
    block_tokens: int = 1
    resident_holds_slot: bool = True
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured at warm-up, then learned from every turn.  Tokens a second; decode is for one sequence."""

    prefill_tps: float
    decode_tps: float


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as the front's ledger has it."""

    lease: LeaseId
    turn: TurnId
    session: SessionKey
    reserved_tokens: int


@dataclass(frozen=True, slots=True)
class LoadedView:
    """A deployment as the loader has it: started with this layout, and holding its memory.

    `ending`: it was told to unload, and is on its way out.
    """

    deployment: DeploymentId
    layout: Layout
    ending: bool = False


@dataclass(frozen=True, slots=True)
class ResidentView:
    """The KV of a session without a running turn, still in the engine's memory."""

    session: SessionKey
    tokens: int
