"""What can be varied."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.harness.options import BenchSettings
from cluster.simulate.blocks.made import MIXES
from cluster.simulate.blocks.policies import POLICIES

SHARED_TRACE = Path(__file__).parents[3] / "shared/traces/mooncake_conversation_trace.jsonl.gz"
"""Data beside the project, where there is any."""

Count = Annotated[int, Field(ge=1)]


class PrefixesSettings(BenchSettings):
    """`data`: a trace in Mooncake's format, `made` for made prompts; None: Mooncake's own, or made ones
    without it.
    `seeds`: of made prompts; a trace is played once.  `made`: which ones.
    `sessions`, `session_blocks`: what the index is measured with."""

    data_help: ClassVar[str | None] = "a trace in Mooncake's format, or `made` for made prompts"

    made: Annotated[str, Field(pattern=f"^({'|'.join(MIXES)})$")] = "conversations"
    nodes: tuple[Count, ...] = (8,)
    blocks: tuple[Count, ...] = (8000,)
    rate: Annotated[float, Field(gt=0)] = 5500.0
    sessions: Count = 5000
    session_blocks: Count = 800
    policies: tuple[Annotated[str, Field(pattern=f"^({'|'.join(POLICIES)})$")], ...] = tuple(POLICIES)


QUICK: Mapping[str, Any] = {
    "data": "made",
    "nodes": (2,),
    "blocks": (500,),
    "policies": ("hearth", "least-work"),
    "sessions": 50,
}
"""Enough to see that everything works; its figures say little."""
