"""From what a person asked for and what this machine has to the config that a pool starts with."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.cli.terminal import REFUSED, CommandFailed
from cluster.config import GUIDE, HearthConfig, ModelConfig, UpstreamConfig, load, parse
from cluster.core.errors import InvalidField
from cluster.inventory.engines import FoundEngine, find_engines
from cluster.inventory.weights import find_weights

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of `hearth up`.  `may_ask`: a person sits there who can answer."""

    models: tuple[str, ...] = ()
    config: Path | None = None
    http_port: int | None = None
    grpc_port: int | None = None
    discover: bool = True
    may_ask: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`added`: engines that run here already and become upstreams.  `asked`: the names of the models that
    options named: they are loaded before the start is over."""

    config: HearthConfig
    added: tuple[FoundEngine, ...] = ()
    asked: tuple[str, ...] = ()


def make_plan(
    wishes: Wishes, home: Path, user: Path, find: Callable[[], Sequence[FoundEngine]] = find_engines
) -> Plan:
    """Raises InvalidField or CommandFailed naming what is wrong; starts nothing.

    `home` has the config file, `user` the weights that other programs keep, `find` tells what runs.
    """
    written = read_config(wishes.config, home)
    asked = tuple(model_config(wish, user) for wish in wishes.models)
    ports = written.gateway.model_dump()
    ports |= {"http_port": wishes.http_port} if wishes.http_port is not None else {}
    ports |= {"grpc_port": wishes.grpc_port} if wishes.grpc_port is not None else {}
    engines = find() if wishes.discover else []
    added = tuple(
        engine for engine in engines if not _is_known(engine, written.upstreams, ports["http_port"])
    )
    config = {
        **written.model_dump(),
        "models": [model.model_dump() for model in (*written.models, *asked)],
        "upstreams": [*written.model_dump()["upstreams"], *(upstream(e).model_dump() for e in added)],
        "gateway": ports,
    }
    return Plan(parse(config, "hearth up"), added, tuple(model.name for model in asked))


def read_config(config: Path | None, home: Path) -> HearthConfig:
    """The config that a person wrote.  Raises InvalidField."""
    if config is not None and not config.is_file():
        raise InvalidField("--config", f"{config} is not a file.", "Name a file, or leave the option out.")
    return load(config or home / "hearth.yaml")


def model_config(wish: str, user: Path) -> ModelConfig:
    """The model that `--model` names: a path, a hub id, or the name of weights found on this disk."""
    path = Path(wish).expanduser()
    if path.exists():
        return ModelConfig(
            name=model_name(path.stem if path.is_file() else path.name), source=str(path.absolute())
        )
    for weights in find_weights(user):
        if wish == weights.name:
            return ModelConfig(name=model_name(weights.name), source=str(weights.path))
    hub = wish.removeprefix("hf:")
    repository = hub.partition(":")[0]
    if HUB_ID.fullmatch(hub) and not repository.endswith(".gguf"):
        return ModelConfig(name=model_name(repository.rpartition("/")[2]), source=f"hf:{hub}")
    raise CommandFailed(
        f"--model {wish}: there is no such file, and it is no owner/repo of the hub.",
        "Give the path of a GGUF or of a folder; `hearth doctor` lists those it finds on this machine.",
        REFUSED,
    )


def model_name(text: str) -> str:
    """A model id from a file's name."""
    return re.sub(r"[^a-z0-9._:-]+", "-", text.lower()).strip("-._:")[:96] or "model"


def upstream(engine: FoundEngine) -> UpstreamConfig:
    contexts = [model.context_tokens for model in engine.models if model.context_tokens]
    return UpstreamConfig(
        name=engine.kind,
        url=engine.url,
        local_models=tuple(model.name for model in engine.models if model.local),
        max_concurrency=engine.slots or UpstreamConfig.model_fields["max_concurrency"].default,
        context_tokens=min(contexts) if len(contexts) == len(engine.models) else None,
    )


def _is_known(engine: FoundEngine, upstreams: Sequence[UpstreamConfig], http_port: int) -> bool:
    same = {upstream.url.rstrip("/").replace("localhost", "127.0.0.1") for upstream in upstreams}
    return (
        engine.url in same
        or engine.kind in {upstream.name for upstream in upstreams}
        or engine.url == f"http://127.0.0.1:{http_port}/v1"
    )


def loads_here(config: HearthConfig) -> set[str]:
    """The models whose failure to load is a failure of the start: those that this pool computes itself."""
    return {model.name for model in config.models} | ({GUIDE} if config.guide else set())
