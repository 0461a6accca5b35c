"""`hearth status`."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from cluster.cli.terminal import STATE_COLOURS, AsJson, out, print_json, printable, size_words, speaking


def status(as_json: AsJson = False) -> None:
    """Show the pool: its models, its machines and their memory, who waits.

    Example: `hearth status`
    """
    with speaking(as_json):
        from cluster.cli.client import get_json, require_pool
        from cluster.pool.paths import pool_paths

        state = require_pool(pool_paths())
        view = get_json(state, "/api/view")
        if as_json:
            urls = {"http": state.http_url, "grpc": f"127.0.0.1:{state.grpc_port}"}
            print_json({"state": state.stage, "pid": state.pid, "urls": urls, "view": view})
            return
        out.print(f"[bold]{state.http_url}[/]  router epoch {view['epoch']}")
        for table in (_models(view), _replicas(view), _nodes(view), _queue(view)):
            if table.row_count:
                out.print(table)


def _models(view: dict[str, Any]) -> Table:
    table = Table("model", "state", "computed", "window", "replicas", title="Models", title_justify="left")
    for model in view["models"]:
        reason = f" {escape(printable(model['reason']))}" if model["reason"] else ""
        window = f"{model['window_tokens']:,}" if model["window_tokens"] else "-"
        table.add_row(
            model["model"],
            f"[{STATE_COLOURS.get(model['state'], 'white')}]{model['state']}[/]{reason}",
            model["locality"],
            window,
            str(model["num_replicas"]),
        )
    return table


def _replicas(view: dict[str, Any]) -> Table:
    table = Table("replica", "node", "turns", "reserved", "resident", "free", title="KV memory, in tokens")
    table.title_justify = "left"
    for replica in view["replicas"]:
        capacity = replica["capacity"]
        reserved, resident = replica["reserved_tokens"], replica["resident_tokens"]
        turns = f"{replica['num_leases']} of {capacity['num_slots']}"
        free = capacity["kv_tokens"] - reserved - resident
        sizes = (f"{tokens:,}" for tokens in (reserved, resident, free))
        table.add_row(replica["replica"], replica["node"], turns, *sizes)
    return table


def _nodes(view: dict[str, Any]) -> Table:
    columns = ("node", "memory", "free", "for models", "held", "reserve")
    table = Table(*columns, title="Machines", title_justify="left")
    for node in view["nodes"]:
        sizes = (node[f"{kind}_bytes"] for kind in ("memory", "memory_free", "models", "held", "reserve"))
        table.add_row(node["node"], *map(size_words, sizes))
    return table


def _queue(view: dict[str, Any]) -> Table:
    table = Table("", "session", "model", "waits", "expected", title="Waiting turns", title_justify="left")
    for turn in view["queue"]:
        waits, expected = f"{turn['waited_s']:.0f} s", f"{turn['estimate_s']:.0f} s"
        table.add_row(str(turn["position"]), turn["session"], turn["model"], waits, expected)
    return table
