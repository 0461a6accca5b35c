"""A forecast for people: where a model lies, as a bar, what it does there, and what would help."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from cluster.cli.terminal import size_words
from cluster.core.forecast.ask import Ask
from cluster.core.forecast.forecast import Change, Forecast, advice, changes
from cluster.core.forecast.ways import ANSWER_TOKENS, MOST_SESSIONS, NEW_TOKENS, Outcome, Way
from cluster.core.layout import EngineKind
from cluster.core.slots import usual_slots
from cluster.core.speed.model import Split

BAR_CELLS = 60
MOST_CHANGES = 3
NUMBERS = ("sessions", "cold", "warm", "tokens/s")
ENGINES = {EngineKind.MLX: "MLX", EngineKind.LLAMACPP: "llama.cpp", EngineKind.VLLM: "vLLM"}


def page(ask: Ask, found: tuple[Forecast, ...]) -> Iterator[RenderableType]:
    for each in found:
        best = each.best
        yield _head(ask, each)
        yield _bar(ask, best)
        yield _figures(ask, best) if best.holds else _lacking(ask, best)
        if each.beside:
            yield f"[yellow]![/] {escape(_sharing(each))}"
        if each.others:
            yield _others(each)
        for doubt in _doubts(each):
            yield f"[yellow]![/] Not certain: {escape(doubt)}."
        warning = advice(ask, each)
        if warning:
            yield f"[yellow]![/] {escape(warning)}"
        yield _help(best, changes(ask, each.subject))
        yield ""
    yield "[dim]Estimates from published speeds: within 10 % for half of them, within 25 % for most.[/]"
    if any(each.best.way.engine is EngineKind.VLLM for each in found):
        yield "[dim]None of those speeds is vLLM's: expect less of its figures.[/]"


def _doubts(found: Forecast) -> tuple[str, ...]:
    return found.subject.doubts(found.best.way.engine)


def _head(ask: Ask, found: Forecast) -> str:
    best = found.best
    mark = "[green]✓[/]" if best.holds else "[red]✗[/]"
    where = escape(_where(ask, best))
    return f"{mark} [bold]{escape(found.subject.name)}[/] in {escape(best.quantisation)}: {where}"


def _sharing(found: Forecast) -> str:
    others = " and ".join(found.beside)
    compute = "computes" if len(found.beside) == 1 else "compute"
    return (
        f"Planned as if alone: while {others} {compute} there too, each has its part of the time, "
        f"about {found.shared_tokens_s:.1f} instead of {found.best.tokens_s:.1f} tokens/s."
    )


def _where(ask: Ask, found: Outcome) -> str:
    way = found.way
    how = {
        Split.NONE: "",
        Split.TENSOR: f", tensor parallel by {ask.link.name}",
        Split.PIPELINE: f", layers one after the other by {ask.link.name}",
    }
    return f"{way.name}{how[way.split]}, on {ENGINES[way.engine]}"


def _parts(ask: Ask, found: Outcome) -> tuple[tuple[str, str, int], ...]:
    """Colour, name and bytes of one node."""
    held = max(min(found.resident, ask.sessions), 0)
    kv = held * found.session_bytes
    used = found.weights_bytes + found.buffers_bytes + kv
    return (
        ("blue", "weights", found.weights_bytes),
        ("green", f"KV of {held}", kv),
        ("yellow", "buffers", found.buffers_bytes),
        ("dim", "free" if used <= found.usable_bytes else "too much by", abs(found.usable_bytes - used)),
    )


def _bar(ask: Ask, found: Outcome) -> str:
    """Each part's share of what models can use; what is beyond is red."""
    parts = _parts(ask, found)
    cells, legend, left = "", [], BAR_CELLS
    for colour, name, num_bytes in parts:
        num = min(round(BAR_CELLS * num_bytes / max(found.usable_bytes, 1)), left)
        num = left if name == "free" else num
        if name != "too much by":
            cells += f"[{colour}]{('·' if name == 'free' else '█') * num}[/]"
            left -= num
        else:
            colour = "red"
        legend.append(f"[{colour}]{'·' if name == 'free' else '█'}[/] {name} {size_words(num_bytes)}")
    of = f" of {size_words(found.usable_bytes)}"
    each = " on each" if len(found.way.nodes) > 1 else ""
    return f"  {cells}{of}{each}\n  {'  '.join(legend)}"


def _figures(ask: Ask, found: Outcome) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    rows = (
        ("sessions in memory", f"{_resident(found)} of {ask.context_tokens:,} tokens"),
        ("first token, warm", f"{time_words(found.warm_s)} ({NEW_TOKENS} new tokens)"),
        ("first token, cold", f"{time_words(found.cold_s)} (all tokens), limited by {found.prefill_limit}"),
        ("tokens a second", f"{_speed(ask, found)}, limited by {found.limit}"),
        *_kept(found),
        ("a turn on average", f"{time_words(found.turn_s)} with {ANSWER_TOKENS} tokens of answer"),
    )
    for name, words in rows:
        table.add_row(f"[dim]{name}[/]", words)
    return table


def _kept(found: Outcome) -> tuple[tuple[str, str], ...]:
    """Where there is room for fewer than usual."""
    num, usual = found.num_checkpoints, usual_slots(found.way.engine).num_checkpoints
    return (("to go back to", f"{num} of {usual} checkpoints a session"),) if num < usual else ()


def _resident(found: Outcome) -> str:
    return f"{found.resident:,}{' or more' if found.resident == MOST_SESSIONS else ''}"


def _speed(ask: Ask, found: Outcome) -> str:
    num = min(found.resident, ask.sessions)
    together = f", {found.together_tokens_s:.1f} each of {num} at once" if num > 1 else ""
    return f"{found.tokens_s:.1f}{together}"


def _lacking(ask: Ask, found: Outcome) -> str:
    if not found.largest_tokens:
        alone = found.weights_bytes > found.usable_bytes
        words = "Its weights alone are" if alone else "Its weights with the engine's buffers are"
        return f"  {words} too large for these machines."
    return (
        f"  No session of {ask.context_tokens:,} tokens fits beside the weights: "
        f"the longest has {found.largest_tokens:,}."
    )


def _others(found: Forecast) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2))
    for head in ("other ways", "split", "sessions", "cold", "warm", "tokens/s", "limit"):
        table.add_column(f"[dim]{head}[/]", justify="right" if head in NUMBERS else "left", no_wrap=True)
    for each in found.others:
        row = [each.way.name, str(each.way.split), str(each.resident)]
        held = [time_words(each.cold_s), time_words(each.warm_s), f"{each.tokens_s:.1f}", str(each.limit)]
        table.add_row(*map(escape, (*row, *(held if each.holds else ["", "", "", "memory"]))))
    return table


def _help(best: Outcome, found: tuple[Change, ...]) -> str:
    if not found:
        return "  [dim]No single change that was tried shortens a turn.[/]"
    lines = [f"  [bold]would help most[/]: {_change(best, found[0])}"]
    return "\n".join([*lines, *(f"  [dim]then {_change(best, each)}[/]" for each in found[1:MOST_CHANGES])])


def _change(best: Outcome, change: Change) -> str:
    engine = change.way.engine
    other = f", on {ENGINES[engine]}" if engine is not best.way.engine else ""
    held = f"{change.resident} session{'s' * (change.resident > 1)} in memory"
    after = f"{held}, a turn takes {time_words(change.after_s)}"
    before = "" if change.before_s is None else f" instead of {time_words(change.before_s)}"
    return f"{escape(change.name)}{other} ({after}{before})"


def time_words(seconds: float) -> str:
    """`0.4 s`, `12 s`, `1 min 55 s`, `14 min`, `2.1 h`."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    if seconds < 600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def as_body(ask: Ask, found: tuple[Forecast, ...]) -> dict[str, Any]:
    """The one object of `--json`."""
    return {
        "machines": [node.name for node in ask.nodes],
        "link": ask.link.name,
        "context_tokens": ask.context_tokens,
        "sessions": ask.sessions,
        "kv_type": ask.kv_type,
        "models": [_model(ask, each) for each in found],
    }


def _model(ask: Ask, found: Forecast) -> dict[str, Any]:
    return {
        "model": found.subject.name,
        **_outcome(found.best),
        "other_ways": [_outcome(each) for each in found.others],
        "advice": advice(ask, found),
        "doubts": _doubts(found),
        "beside": found.beside,
        "shared_tokens_s": found.shared_tokens_s,
        "changes": [
            {"change": each.name, **_way(each.way), "before_s": each.before_s, "after_s": each.after_s}
            for each in changes(ask, found.subject)
        ],
    }


def _outcome(found: Outcome) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(found).items() if name != "way"}
    return {**_way(found.way), "holds": found.holds, **figures}


def _way(way: Way) -> dict[str, Any]:
    return {"on": way.name, "nodes": way.nodes, "engine": way.engine, "split": way.split}
