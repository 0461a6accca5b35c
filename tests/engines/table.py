"""The table of docs/engines.md.  `python -m tests.engines.table` runs the contract and writes it.

Where one test failed, or an engine could not run here, the page stays as it is.  HEARTH_FULL=1 and root run
all engines, as `make test-full` does.
"""

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.engines import claims
from tests.engines.claims import Ability, Claim

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/engines.md"
BEGIN, END = "<!-- table: python -m tests.engines.table -->", "<!-- end of table -->"
COLUMNS = (
    claims.LLAMACPP,
    claims.VLLM,
    claims.VLLM_TP2,
    claims.VLLM_TWO_HOSTS,
    claims.MLX,
    claims.MLX_TP2,
    claims.MLX_PP2,
    claims.UPSTREAM,
    claims.FAKE,
)

Cell = tuple[str, Ability]
"""An engine's name in its claim, and what it was asked for."""


@dataclass
class Recorder:
    """A plugin of pytest that notes for each cell whether its tests passed."""

    cells: dict[str, Cell] = field(default_factory=dict[str, Cell])
    passed: set[Cell] = field(default_factory=set[Cell])
    failed: set[Cell] = field(default_factory=set[Cell])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            claim: Claim | None = getattr(getattr(item, "cls", None), "claim", None)
            ability: Ability | None = getattr(getattr(item, "function", None), "shows", None)
            if claim is not None and ability is not None:
                self.cells[item.nodeid] = (claim.engine, ability)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = self.cells.get(report.nodeid)
        if cell is not None and report.failed:
            self.failed.add(cell)
        elif cell is not None and report.when == "call" and report.passed:
            self.passed.add(cell)

    @property
    def shown(self) -> set[Cell]:
        return self.passed - self.failed


def missing(shown: Collection[Cell]) -> list[str]:
    """What is claimed and no test has shown."""
    return [
        f"{claim.engine}: {ability}"
        for claim in COLUMNS
        for ability in Ability
        if (claim.engine, ability) not in shown and claim.has(ability)
    ]


def rendered() -> str:
    """The table as the claims say it."""
    notes: dict[str, int] = {}
    rows = [
        f"| {ability} | " + " | ".join(_cell(claim.lacks.get(ability), notes) for claim in COLUMNS) + " |"
        for ability in Ability
    ]
    head = f"| | {' | '.join(claim.engine for claim in COLUMNS)} |"
    rule = "|---|" + ":-:|" * len(COLUMNS)
    told = [f"{number}. {note[0].upper()}{note[1:]}." for note, number in notes.items()]
    return "\n".join([head, rule, *rows, "", *told])


def _cell(lack: str | None, notes: dict[str, int]) -> str:
    return "yes" if lack is None else f"no ({notes.setdefault(lack, len(notes) + 1)})"


def of_page(text: str) -> str:
    """The table as it stands in the page."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def in_page(text: str, table: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    recorder: Any = Recorder()
    chosen = arguments or ["tests/engines", *(["tests/lab"] if environ.get("HEARTH_FULL") == "1" else [])]
    pytest.main(["-q", *chosen], plugins=[recorder])
    left = missing(recorder.shown)
    if left:
        print("not shown, so the table stays as it is:", *left, sep="\n  ")
        return 1
    PAGE.write_text(in_page(PAGE.read_text(), rendered()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
