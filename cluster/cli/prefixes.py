"""`hearth prefixes`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cluster.cli.progress import Progress
from cluster.cli.terminal import AsJson, out, print_json, speaking
from cluster.core.errors import InvalidField

if TYPE_CHECKING:
    from cluster.simulate.blocks.prompt import Prompt

MOST_NODES = 1000
MOST_TOKENS_S = 1e9
"""Far beyond any node, and finite."""

DEFAULT_MADE, DEFAULT_SEED = "conversations", 1

COLUMNS = {
    "hit_share_of_pooled": ("hits of pooled", "{:.1%}"),
    "max_to_mean_work": ("max/mean work", "{:.3f}"),
    "worst_5min_max_to_mean_work": ("worst 5 min", "{:.2f}"),
    "first_token_mean_s": ("first token s", "{:,.1f}"),
    "first_token_p99_s": ("p99 s", "{:,.0f}"),
    "busy_share": ("busy", "{:.0%}"),
}


def prefixes(
    trace: Annotated[
        Path | None, typer.Option(help="Prompts in Mooncake's format, also .gz. Default: made ones.")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, max=MOST_NODES, help="Equal nodes.")] = 8,
    blocks: Annotated[int, typer.Option(min=1, help="Of 512 tokens, that a node's cache holds.")] = 8000,
    rate: Annotated[
        float, typer.Option(min=1, max=MOST_TOKENS_S, help="Tokens that a node prefills in a second.")
    ] = 5500,
    policies: Annotated[str, typer.Option(help="Names, or `all`.")] = "all",
    made: Annotated[
        str | None,
        typer.Option(
            help="Which prompts to make: `conversations`, the default, or `agents` with shared heads."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of made prompts. Default: 1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try where prompts that share beginnings should go, without any machine.

    Example: `hearth prefixes --made agents --nodes 4`
    """
    with speaking(as_json):
        from dataclasses import asdict

        from cluster.simulate.blocks.figures import block_figures
        from cluster.simulate.blocks.made import MIXES
        from cluster.simulate.blocks.policies import POLICIES
        from cluster.simulate.blocks.replay import Lab, pooled_hit_blocks, replay
        from cluster.simulate.run import check_names

        names = (
            list(POLICIES)
            if policies == "all"
            else list(dict.fromkeys(name.strip() for name in policies.split(",")))
        )
        check_names("--policies", names, POLICIES)
        if trace is not None and (made, seed) != (None, None):
            raise InvalidField("--trace", "it has its own prompts.", "Leave out --made and --seed.")
        made, seed = made or DEFAULT_MADE, DEFAULT_SEED if seed is None else seed
        check_names("--made", [made], MIXES)
        lab = Lab(nodes, blocks, rate)
        rows = []
        with Progress(quiet=as_json) as progress:
            progress.stage("prompts, and one cache as large as all")
            prompts = _prompts(trace, made, seed)
            pooled = pooled_hit_blocks(lab, prompts)
            for name in names:
                progress.stage(name)
                found = block_figures(lab, replay(lab, prompts, POLICIES[name]()), pooled)
                rows.append({"policy": name, **asdict(found)})
        source = f"made {made}, seed {seed}" if trace is None else str(trace)
        if as_json:
            print_json({"prompts": source, **asdict(lab), "runs": rows})
        else:
            words = f"{len(prompts):,} prompts ({source}), {nodes} nodes of {blocks:,} blocks"
            out.print(_table(rows), f"\n[dim]{words}[/]")


def _prompts(trace: Path | None, made: str, seed: int) -> "list[Prompt]":
    from cluster.simulate.blocks.made import MIXES, made_prompts
    from cluster.simulate.blocks.prompt import read_mooncake
    from cluster.simulate.traces import lines_of

    with lines_of(trace, "--trace") as lines:
        return made_prompts(MIXES[made], seed) if lines is None else read_mooncake(lines, str(trace))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("policy", min_width=max(len(row["policy"]) for row in rows))
    for head, _ in COLUMNS.values():
        table.add_column(head, justify="right")
    best = {
        field: (max if field == "hit_share_of_pooled" else min)(row[field] for row in rows)
        for field in COLUMNS
    }
    for row in rows:
        cells = [
            Text(shape.format(row[field]), style="green" if row[field] == best[field] else "")
            for field, (_, shape) in COLUMNS.items()
        ]
        table.add_row(Text(row["policy"], style="bold"), *cells)
    return table
