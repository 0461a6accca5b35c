"""`hearth plan`: what machines, or the pool, would do with models, before anybody buys or downloads."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from cluster.cli.terminal import AsJson, out, print_json, speaking

if TYPE_CHECKING:
    from cluster.cli.pool_machines import PoolMachines
    from cluster.core.forecast.ask import LabNode, Subject


MOST_SESSIONS = 1024
"""As many as a forecast counts."""


def plan(
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", "-M", help="A known machine, such as `m3-ultra-256`; `2*rtx-3090`: cards."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A known model, such as `MiniMax-M2.1`.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A model's own config.json, for any other model.")
    ] = None,
    quantisation: Annotated[
        str,
        typer.Option(help="`4bit`, `8bit`, `q4_k_m`, `bf16` and so on. Default: as usual for the engine."),
    ] = "",
    context: Annotated[int, typer.Option(min=1024, help="Tokens of each session.")] = 32768,
    sessions: Annotated[int, typer.Option(min=1, max=MOST_SESSIONS, help="How many at once.")] = 1,
    link: Annotated[str, typer.Option(help="Between machines: `1gbe`, `10gbe`, `tb5-rdma` ...")] = "1gbe",
    kv: Annotated[str, typer.Option(help="The type of KV memory: `f16`, `q8_0`, `q4_0`.")] = "f16",
    pool: Annotated[
        bool, typer.Option("--pool", help="The machines of the running pool, beside those that are named.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what machines would do with models: whether they hold them, how fast, and what would help most.

    Example: `hearth plan --machine m3-ultra-256 --model MiniMax-M2.1 --context 131072 --sessions 4`
    """
    with speaking(as_json):
        from cluster.cli.forecast_page import as_body, page
        from cluster.core.forecast.ask import Ask
        from cluster.core.forecast.forecast import forecast
        from cluster.core.speed.machines import known_link

        subjects = _subjects(tuple(model or ()), config, quantisation)
        named = tuple(map(_node, machine or ()))
        found_in_pool = _pool(is_alone=not named) if pool else None
        nodes = (*found_in_pool.nodes, *named) if found_in_pool else named
        ask = Ask(subjects, nodes, context, sessions, known_link(link), _kv_type(kv)).checked()
        found = forecast(ask)
        told = found_in_pool.told if found_in_pool else ()
        if as_json:
            print_json({**as_body(ask, found), "pool": told} if found_in_pool else as_body(ask, found))
        else:
            for words in told:
                out.print(f"[dim]·[/] {escape(words)}")
            for part in page(ask, found):
                out.print(part)


def _pool(*, is_alone: bool) -> "PoolMachines":
    from cluster.cli.pool_machines import check_known, pool_machines

    found = pool_machines()
    if is_alone:
        check_known(found)
    return found


def _subjects(names: tuple[str, ...], config: Path | None, quantisation: str) -> tuple["Subject", ...]:
    from cluster.core.errors import InvalidField
    from cluster.core.forecast.ask import Subject
    from cluster.core.speed.known_models import known_model, usual_quantisation

    if quantisation:
        _check_quantisation(quantisation)
    if config is None:
        return tuple(
            Subject(name, known_model(name), quantisation or usual_quantisation(name)) for name in names
        )
    if len(names) > 1:
        raise InvalidField("--config", "It describes one model.", "Name one `--model`, or none.")
    return (Subject(names[0] if names else config.absolute().parent.name, _read(config), quantisation),)


def _check_quantisation(text: str) -> None:
    from cluster.core.errors import InvalidField
    from cluster.core.memory.quantisation import quantisation_named

    try:
        quantisation_named(text)
    except InvalidField as fault:
        raise InvalidField("--quantisation", fault.problem, fault.remedy) from fault


def _read(config: Path) -> dict[str, Any]:
    from cluster.core.errors import InvalidField

    remedy = "Name a model's config.json."
    try:
        body = json.loads(config.read_text())
    except OSError as fault:
        raise InvalidField("--config", f"{config}: {fault.strerror}.", remedy) from fault
    except ValueError as fault:
        raise InvalidField("--config", f"{config} is not JSON.", remedy) from fault
    if not isinstance(body, dict):
        raise InvalidField("--config", f"{config} has no fields.", remedy)
    return body


def _node(text: str) -> "LabNode":
    from cluster.core.errors import InvalidField
    from cluster.core.forecast.ask import LabNode
    from cluster.core.speed.machines import known_machine

    num, star, name = text.rpartition("*")
    if not star:
        return LabNode(known_machine(text))
    if not (num.isascii() and num.isdigit() and num.strip("0")):
        raise InvalidField("--machine", f"{text!r} has no number of cards.", "For example `2*rtx-3090`.")
    return LabNode(known_machine(name), int(num))


def _kv_type(text: str) -> Any:  # noqa: ANN401 - one of the literals, once checked
    from cluster.core.errors import InvalidField
    from cluster.core.memory.cache import BYTES_PER_NUMBER

    if text not in BYTES_PER_NUMBER:
        raise InvalidField("--kv", f"{text!r} is not known.", f"Known are: {', '.join(BYTES_PER_NUMBER)}.")
    return text
