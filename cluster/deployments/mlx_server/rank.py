"""One rank, from its weights to its last step."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from mlx.utils import tree_flatten

from cluster.deployments.mlx_server import model, peers
from cluster.deployments.mlx_server.chat import Chat
from cluster.deployments.mlx_server.executor import Executor
from cluster.deployments.mlx_server.faults import give_up
from cluster.deployments.mlx_server.grammar import Grammars
from cluster.deployments.mlx_server.http import Server
from cluster.deployments.mlx_server.room import Room
from cluster.deployments.mlx_server.sampler import Sampler, follower
from cluster.deployments.mlx_server.scheduler import Scheduler
from cluster.deployments.mlx_server.settings import RankSettings
from cluster.deployments.text import Detokenizer

SAMPLING_NAMES = ("temperature", "top_p", "top_k", "min_p")


def run(settings: RankSettings, secret: str) -> None:
    """Returns when rank 0 is gone; rank 0 itself never does."""
    try:
        if settings.rank == 0:
            _lead(settings, _leader(settings, secret))
        else:
            _follow(settings, peers.follow(settings.control, secret, settings.ready_timeout_s))
    except peers.PeersLost as fault:
        give_up(f"The ranks lost each other: {fault}.", "Check the network between the nodes.")


def _leader(settings: RankSettings, secret: str) -> peers.Leader:
    if settings.num_ranks == 1:
        return peers.Leader()
    return peers.lead(settings.control, secret, settings.num_ranks - 1, settings.ready_timeout_s)


def _follow(settings: RankSettings, leader: peers.Follower) -> None:
    group = model.join(settings)
    loaded = model.load(settings, group)
    ends = sorted(loaded.tokenizer.eos_token_ids)
    executor = Executor(loaded.model, ends, follower(group), settings.num_slots, settings.chunk_tokens)
    while True:
        operations, steps = leader.receive()
        executor.apply(operations, {})
        if steps:
            executor.step()


def _lead(settings: RankSettings, leader: peers.Leader) -> None:
    group = model.join(settings)
    loaded = model.load(settings, group)
    chat, sampler = Chat(loaded.tokenizer), Sampler(group)
    executor = Executor(loaded.model, chat.ends, sampler, settings.num_slots, settings.chunk_tokens)
    room = Room(settings.kv_tokens, settings.num_slots)
    detokenizer = partial(Detokenizer, chat.decode, bytewise=chat.is_bytewise)
    scheduler = Scheduler(executor, leader, sampler, room, frozenset(chat.ends), detokenizer)
    grammars = Grammars(chat.transformers, chat.ends)
    facts = _facts(loaded, chat)
    server = Server(scheduler, chat, grammars, facts, _defaults(settings), settings.window_tokens)
    server.start(settings.socket)
    scheduler.run()


def _facts(loaded: model.Loaded, chat: Chat) -> dict[str, Any]:
    leaves: list[tuple[str, Any]] = list(tree_flatten(loaded.model.parameters()))
    return {
        "control_tokens": chat.control_tokens,
        "template": chat.template,
        "weights_bytes": sum(leaf.nbytes for _, leaf in leaves),
    }


def _defaults(settings: RankSettings) -> dict[str, Any]:
    """How the model's makers sample from it."""
    path = Path(settings.model).expanduser() / "generation_config.json"
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    chosen = {name: told[name] for name in SAMPLING_NAMES if told.get(name) is not None}
    return {"temperature": 0.0} | chosen if told.get("do_sample") is False else chosen
