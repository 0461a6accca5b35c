"""What `hearth simulate` replays, and the picture that it draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.core.errors import InvalidField

if TYPE_CHECKING:
    from cluster.simulate.figures import Figures
    from cluster.simulate.lab import Lab

AS_IT_WAS = "as it was"
"""Stands where the others have the name of a policy."""

Show = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Work:
    """`run`: of a device, a policy, a number of sessions at once and a seed.  `numbers`: those of sessions.

    `told`: of where the turns are from, for `--json`; `words`: for people.  `went`: figures of the turns as
    they really went, if they ever did.
    """

    run: "Callable[[str, str, int, int, Show], Figures]"
    numbers: Sequence[int]
    num_turns: int
    told: Mapping[str, Any]
    words: Sequence[str] = field(default_factory=tuple)
    went: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def from_trace(lab: "Lab", trace: Path | None, numbers: Sequence[int], turns: int) -> Work:
    """Raises InvalidField."""
    from cluster.simulate.run import run_policy, sessions_for
    from cluster.simulate.traces import lines_of
    from cluster.simulate.world import Load

    with lines_of(trace, "--trace") as lines:
        sessions = sessions_for(lab, lines, "--sessions" if trace is None else str(trace))

    def run(device: str, policy: str, number: int, seed: int, show: Show) -> "Figures":
        return run_policy(lab, device, policy, Load(sessions, number, turns, seed), show)

    return Work(run, numbers, turns, {"sessions": "made" if trace is None else str(trace)})


def from_journal(lab: "Lab", path: Path) -> Work:
    """Raises InvalidField, also where the file is no journal."""
    from cluster import journal
    from cluster.simulate.recorded import recording
    from cluster.simulate.run import replay_policy

    remedy = "Name a file of the folder `journal` in HEARTH_HOME, `router-*.journal`."
    try:
        found = recording(lab, journal.read(path), str(path))
    except OSError as fault:
        raise InvalidField("--journal", f"{path} cannot be read: {fault}.", remedy) from fault
    except ValueError as fault:
        raise InvalidField("--journal", f"{path} is no journal of this version: {fault}.", remedy) from fault

    def run(device: str, policy: str, number: int, seed: int, show: Show) -> "Figures":
        return replay_policy(lab, device, policy, found, seed, show)

    told = {"sessions": str(path), "num_turns": found.num_turns, "num_left_out": found.num_left_out}
    words = [f"{found.num_turns:,} turns of {path.name}"]
    if found.num_left_out:
        words.append(
            f"{found.num_left_out:,} left out: without an end there, no chat, or too long for the lab"
        )
    number = len(found.sessions)
    went = {"policy": AS_IT_WAS, "num_sessions_at_once": number, **asdict(found.figures)}
    return Work(run, [number], found.num_turns, told, words, [went])


def check_picture(path: Path | None) -> None:
    """Raises InvalidField before anything is computed for a picture that could not be drawn."""
    if path is None:
        return
    if path.suffix != ".svg":
        problem = f"{path.name} is no .svg, and other pictures need a program that does not come along."
        raise InvalidField("--plot", problem, "Name an .svg; any browser shows it and saves it as PNG.")
    if not path.parent.is_dir():
        raise InvalidField("--plot", f"there is no folder {path.parent}.", "Make it, or name another.")


def draw(path: Path, rows: Sequence[Mapping[str, object]], title: str) -> None:
    """Raises InvalidField where the file cannot be written."""
    from cluster.simulate.plot import plot

    try:
        path.write_text(plot(rows, title))
    except OSError as fault:
        raise InvalidField("--plot", f"{path} cannot be written: {fault}.", "Name another file.") from fault
