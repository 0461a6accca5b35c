"""How far a start is: a spinner for a terminal, one line a stage for anything else."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape

from cluster.cli.terminal import err

BAR_CELLS = 16


def bar_words(fraction: float | None) -> str:
    """A bar and its number; empty where nobody can tell."""
    if fraction is None:
        return ""
    full = round(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
    return f"{'━' * full}{'╌' * (BAR_CELLS - full)} {fraction:.0%}"


def _replica_words(replica: dict[str, Any], num_replicas: int) -> str:
    of = f"{replica['deployment']} " if num_replicas > 1 else ""
    share = f" {replica['fraction']:.0%}" if replica["fraction"] is not None else ""
    return f"{of}{replica['stage']}{share}"


class Progress:
    """Stages, one after the other, written to `console`.  `quiet`: nothing is written."""

    def __init__(self, quiet: bool, console: Console = err) -> None:
        self._quiet, self._console = quiet, console
        self._spins = console.is_terminal and not quiet
        self._status = console.status("", spinner="dots")
        self._stage, self._step, self._began = "", "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()
        if kind is None:
            self._finish()

    def stage(self, words: str) -> None:
        """Names what happens now; the stage before it is done."""
        if words == self._stage or self._quiet:
            return
        self._finish()
        self._stage, self._began = words, time.monotonic()
        if self._spins:
            self._show(words)
        else:
            self._console.print(words)

    def step(self, words: str, share: str = "") -> None:
        """Says how far the stage is: redrawn on a terminal, a line for each new step anywhere else."""
        if self._spins:
            self._show(f"{self._stage}: {words} {share}  {time.monotonic() - self._began:.0f} s")
        elif words != self._step and not self._quiet:
            self._console.print(f"{self._stage}: {words}", markup=False)
        self._step = words

    def loading(self, replicas: Sequence[dict[str, Any]], waiting_for: Sequence[str]) -> None:
        """Names what the models of the pool are doing, each with its fraction where that is known."""
        self.stage(f"loading {', '.join(waiting_for)}" if waiting_for else "connecting upstreams")
        if self._spins and replicas:
            self._show(
                f"{self._stage}: {', '.join(_replica_words(each, len(replicas)) for each in replicas)}"
            )

    def pause(self) -> None:
        """Leaves the terminal as it was, cursor included."""
        self._status.stop()

    def _show(self, words: str) -> None:
        self._status.update(escape(words))
        self._status.start()

    def _finish(self) -> None:
        if self._stage and self._spins:
            self.pause()
            self._console.print(
                f"[green]✓[/] {escape(self._stage)} [dim]{time.monotonic() - self._began:.1f} s[/]"
            )
        self._stage = ""
