"""`hearth simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cluster.cli.progress import Progress, bar_words
from cluster.cli.simulated import Work, check_picture, draw, from_journal, from_trace
from cluster.cli.terminal import AsJson, out, print_json, speaking
from cluster.core.errors import InvalidField

if TYPE_CHECKING:
    from cluster.simulate.lab import Lab

DEFAULT_TURNS = 6000
MOST_SESSIONS = 10_000
MOST_TURNS = 1_000_000
SHOWN_EVERY = 500
"""Turns between two redraws."""

COLUMNS = {
    "mean_turn_s": ("mean turn s", "{:,.1f}"),
    "ttft_p50_s": ("first token p50 s", "{:,.1f}"),
    "ttft_p99_s": ("p99 s", "{:,.0f}"),
    "longest_wait_s": ("longest wait s", "{:,.0f}"),
    "worst_to_median_session": ("worst to median session", "{:.1f}"),
    "hit_rate": ("prompt found resident", "{:.0%}"),
}


def simulate(
    lab: Annotated[
        str, typer.Option(help="A lab's YAML file, or `five-nodes`, `two-studios-3090`.")
    ] = "five-nodes",
    trace: Annotated[
        Path | None, typer.Option(help="Agent sessions as JSON lines, also .gz. Default: made ones.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="A router's journal: its turns come again as they came.")
    ] = None,
    sessions: Annotated[
        str | None, typer.Option(help="How many people work at once, one or several numbers. Default: 12.")
    ] = None,
    turns: Annotated[
        int | None, typer.Option(min=1, max=MOST_TURNS, help="Turns of a run. Default: 6000.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Each a run of its own; the means are shown.")] = "1",
    policies: Annotated[str, typer.Option(help="Names, or `all`.")] = "all",
    add: Annotated[list[str] | None, typer.Option(help="One more machine of the table, by name.")] = None,
    device: Annotated[
        str, typer.Option(help="`shared`: prefill and decode slow each other down; or `undisturbed`.")
    ] = "shared",
    plot: Annotated[Path | None, typer.Option(help="Where a picture of it goes, an .svg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try routing policies on machines that you describe, without any of them.

    Example: `hearth simulate --add m3-ultra-256 --sessions 12,24`
    """
    with speaking(as_json):
        from cluster.simulate.engine import DEVICES
        from cluster.simulate.policies import POLICIES
        from cluster.simulate.run import check_names

        names = (
            list(POLICIES)
            if policies == "all"
            else list(dict.fromkeys(name.strip() for name in policies.split(",")))
        )
        check_names("--policies", names, POLICIES)
        check_names("--device", [device], DEVICES)
        check_picture(plot)
        nodes = _lab(lab, add or [])
        if journal is None:
            numbers = _numbers("--sessions", sessions or "12", 1, MOST_SESSIONS)
            work = from_trace(nodes, trace, numbers, turns or DEFAULT_TURNS)
        else:
            if (trace, sessions, turns) != (None, None, None):
                problem = "it has its own sessions and turns."
                raise InvalidField("--journal", problem, "Leave out --trace, --sessions and --turns.")
            work = from_journal(nodes, journal)
        all_seeds = _numbers("--seeds", seeds, 0)
        rows = [dict(each) for each in work.went]
        with Progress(quiet=as_json) as progress:
            for number in work.numbers:
                for name in names:
                    progress.stage(f"{name}, {number} sessions")
                    figures = _means(work, device, name, number, all_seeds, progress)
                    rows.append({"policy": name, "num_sessions_at_once": number, **figures})
        if plot is not None:
            draw(plot, rows, f"{lab}{''.join(f' + {each}' for each in add or [])}, {device}")
        if as_json:
            told = {"lab": lab, "added": add or [], "device": device, "seeds": all_seeds, **work.told}
            print_json({**told, "nodes": [node.name for node in nodes.nodes], "runs": rows})
        else:
            for words in work.words:
                out.print(Text(words))
            for number in work.numbers:
                out.print(_table(number, [row for row in rows if row["num_sessions_at_once"] == number]))


def _means(
    work: Work, device: str, policy: str, number: int, seeds: list[int], progress: Progress
) -> dict[str, float]:
    from cluster.simulate.figures import mean_figures

    def show(finished: int) -> None:
        if finished % SHOWN_EVERY == 0:
            progress.step(f"seed {seed}", bar_words(finished / work.num_turns))

    runs = []
    for seed in seeds:
        runs.append(work.run(device, policy, number, seed, show))
    return mean_figures(runs)


def _lab(name: str, add: list[str]) -> "Lab":
    from cluster.simulate.lab import LABS

    lab = LABS[name] if name in LABS else _read_lab(Path(name))
    for machine in add:
        lab = lab.with_machine(machine)
    return lab


def _read_lab(path: Path) -> "Lab":
    import yaml

    from cluster.simulate.lab import LABS, parse_lab

    try:
        body = yaml.safe_load(path.read_text())
    except OSError as fault:
        remedy = f"Name a YAML file, or one of {', '.join(LABS)}."
        raise InvalidField("--lab", f"{path} cannot be read.", remedy) from fault
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise InvalidField(str(path), f"is not YAML: {fault}.", "Mend the file.") from fault
    if not isinstance(body, dict):
        raise InvalidField(str(path), "has no fields.", "See docs/simulate.md.")
    return parse_lab(body, str(path))


def _numbers(option: str, text: str, least: int, most: int | None = None) -> list[int]:
    try:
        numbers = list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < least:
        problem = f"{text!r} is no list of whole numbers from {least} on."
        raise InvalidField(option, problem, f"For example {option} 12,24.")
    if most is not None and max(numbers) > most:
        raise InvalidField(option, f"{max(numbers)} is too many.", f"Name {most:,} at most.")
    return numbers


def _table(number: int, rows: list[dict[str, Any]]) -> Table:
    """The best of each column stands out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    longest = max(len(row["policy"]) for row in rows)
    table.add_column(f"{number} sessions", min_width=longest)
    for head, _ in COLUMNS.values():
        table.add_column(head, justify="right")
    best = {field: (max if field == "hit_rate" else min)(row[field] for row in rows) for field in COLUMNS}
    for row in sorted(rows, key=lambda each: each["mean_turn_s"]):
        cells = [
            Text(shape.format(row[field]), style="green" if row[field] == best[field] else "")
            for field, (_, shape) in COLUMNS.items()
        ]
        table.add_row(Text(row["policy"], style="bold"), *cells)
    return table
