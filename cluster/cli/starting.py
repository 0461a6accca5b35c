"""What `hearth up` does between its options and its last words."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import typer

from cluster.cli.client import post_json
from cluster.cli.plan import Plan, Wishes, loads_here, make_plan
from cluster.cli.progress import Progress
from cluster.cli.terminal import FAILED, INTERRUPTED, REFUSED, CommandFailed
from cluster.config import HearthConfig, parse
from cluster.doctor.preflight import preflight
from cluster.pool.launch import (
    StartFailed,
    ask_to_end,
    clean_up,
    running_pool,
    spawn_supervisor,
    wait_until_started,
)
from cluster.pool.lock import LockBusy, pool_lock
from cluster.pool.paths import PoolPaths, pool_paths
from cluster.pool.state import PoolState, Stage, read_state

LOCK_S = 300.0
START_S = 180.0
LOAD_S = 1800.0
UPSTREAMS_S = 10.0
"""How long models of elsewhere are waited for; the pool is of use without them."""

POLL_S = 0.2
SETTLED_S, ASLEEP_S = 3.0, 20.0
"""A model that nobody waits for and that fits beside the others has begun to load by then: after the last
change, and where no model has begun at all."""


@dataclass(frozen=True, slots=True)
class Started:
    """A pool that runs.  `models`: what `/v1/models` says; `seconds`: how long the start took."""

    paths: PoolPaths
    state: PoolState
    plan: Plan
    models: tuple[dict[str, Any], ...]
    was_running: bool
    seconds: float


def start_or_find(wishes: Wishes, quiet: bool) -> Started:
    """Starts a pool, or finds the one that runs.  A start that fails leaves nothing behind."""
    paths, began = pool_paths(), time.monotonic()
    try:
        with pool_lock(paths.lock, LOCK_S), Progress(quiet) as progress:
            return _start_or_find(paths, wishes, progress, began)
    except LockBusy as busy:
        raise CommandFailed(str(busy), "Wait for it, or end it with Ctrl-C.") from busy


def _start_or_find(paths: PoolPaths, wishes: Wishes, progress: Progress, began: float) -> Started:
    running = running_pool(paths)
    if running is not None and running.stage is not Stage.STOPPING:
        config = parse_running(paths)
        state = _wait(paths, running.pid, progress)
        return Started(paths, state, Plan(config), _models(state), True, 0.0)
    clean_up(paths)
    progress.stage("checking this machine")
    plan = make_plan(wishes, paths.home, Path.home())
    _check(plan, wishes, progress)
    try:
        supervisor = spawn_supervisor(paths, plan.config)
        state = _wait(paths, supervisor.pid, progress)
        _wait_for_models(paths, state, plan, progress)
    except BaseException as fault:
        progress.stage("taking down what had started")
        stop(paths)
        if isinstance(fault, KeyboardInterrupt):
            raise CommandFailed("Interrupted. Nothing is left running.", "", INTERRUPTED) from fault
        raise
    return Started(paths, state, plan, _models(state), False, time.monotonic() - began)


def parse_running(paths: PoolPaths) -> HearthConfig:
    """The config of the pool that runs."""
    return parse(json.loads(paths.config.read_text()), str(paths.config))


def _check(plan: Plan, wishes: Wishes, progress: Progress) -> None:
    problems = preflight(plan.config)
    if problems:
        first, *others = problems
        more = "".join(f"\nAlso: {other.detail} {other.remedy}" for other in others)
        raise CommandFailed(first.detail, first.remedy + more, REFUSED)
    downloads = [model.source for model in plan.config.models if model.source.startswith("hf:")]
    if downloads and wishes.may_ask:
        progress.pause()
        typer.confirm(f"{', '.join(downloads)} may have to be downloaded. Go on?", default=True, abort=True)


def _wait(paths: PoolPaths, pid: int, progress: Progress) -> PoolState:
    try:
        return wait_until_started(paths, pid, START_S, lambda stage: _show(stage, progress))
    except StartFailed as fault:
        raise CommandFailed(str(fault), "See: hearth logs supervisor", FAILED) from fault


def _show(stage: Stage, progress: Progress) -> None:
    if stage is not Stage.RUNNING:
        progress.stage(stage.value)


def _wait_for_models(paths: PoolPaths, state: PoolState, plan: Plan, progress: Progress) -> None:
    ours, began = loads_here(plan.config), time.monotonic()
    asked, moved_at = set(plan.asked), began
    while time.monotonic() < began + LOAD_S:
        if running_pool(paths) is None:
            raise CommandFailed("The pool ended while it loaded.", "See: hearth logs supervisor", FAILED)
        view = _view(state)
        if view is not None:
            waiting_for = _not_ready(view, ours, asked)
            asked -= _ask_to_load(state, view, asked)
            others = _others_load(view) and time.monotonic() < began + UPSTREAMS_S
            moved_at = time.monotonic() if waiting_for else moved_at
            if not waiting_for and not others and time.monotonic() >= moved_at + _settles_s(view, ours):
                return
            progress.loading(view.get("loading", ()), waiting_for)
        time.sleep(POLL_S)
    raise CommandFailed(f"Models were not loaded after {LOAD_S:.0f} s.", "See: hearth logs replica", FAILED)


def _ask_to_load(state: PoolState, view: dict[str, Any], asked: set[str]) -> set[str]:
    """Has those of `asked` loaded that the pool knows and would leave unloaded; returns what it knows."""
    known = {model["model"]: model for model in view["models"] if model["model"] in asked}
    for name, model in known.items():
        if model["managed"] and model["state"] == "unloaded":
            post_json(state, f"/api/models/{quote(name)}/load")
    return set(known)


def _not_ready(view: dict[str, Any], ours: set[str], asked: set[str]) -> list[str]:
    """Which of `ours` are still on their way, and which of `asked` the pool does not know yet.

    Raises CommandFailed where one has failed.
    """
    models = {model["model"]: model for model in view["models"]}
    for name in sorted(ours & models.keys()):
        if models[name]["state"] == "failed" or (not models[name]["fits"] and _comes(models[name])):
            problem = f"The model {name} did not load: {models[name]['reason']}"
            raise CommandFailed(problem, "See: hearth logs replica", FAILED)
    return sorted(name for name in ours if name in asked or name not in models or _comes(models[name]))


def _comes(model: dict[str, Any]) -> bool:
    """Whether it is on its way, or will be without anybody's asking."""
    if model["state"] == "unloaded":
        return model["keep_warm"] or model["wanted"]
    return model["state"] != "ready"


def _settles_s(view: dict[str, Any], ours: set[str]) -> float:
    """How long to look on for models that begin to load unasked."""
    unloaded = [model["state"] == "unloaded" for model in view["models"] if model["model"] in ours]
    if not any(unloaded):
        return 0.0
    return ASLEEP_S if all(unloaded) else SETTLED_S


def _others_load(view: dict[str, Any]) -> bool:
    return any(model["state"] == "loading" for model in view["models"])


def _view(state: PoolState) -> dict[str, Any] | None:
    """The pool as its gateway tells it; None while the gateway does not answer."""
    try:
        answer = httpx.get(f"{state.http_url}/api/view", timeout=5.0, trust_env=False)
        return answer.json() if answer.status_code == 200 else None
    except (httpx.TransportError, ValueError):
        return None


def _models(state: PoolState) -> tuple[dict[str, Any], ...]:
    try:
        return tuple(httpx.get(f"{state.http_url}/v1/models", timeout=5.0, trust_env=False).json()["data"])
    except (httpx.TransportError, ValueError, KeyError) as fault:
        problem = f"The gateway at {state.http_url} does not answer."
        raise CommandFailed(problem, "See: hearth logs supervisor", FAILED) from fault


def stop(paths: PoolPaths) -> None:
    """Ends everything of the pool, at whatever stage it is.  The caller holds the lock."""
    ask_to_end(paths)
    clean_up(paths)


def stop_quietly(paths: PoolPaths) -> None:
    with pool_lock(paths.lock, LOCK_S):
        stop(paths)


def wait_for_end(paths: PoolPaths) -> str:
    """Returns when the pool has ended: the problem it ended with, empty if it was asked to."""
    while running_pool(paths) is not None:
        time.sleep(POLL_S)
    state = read_state(paths.state)
    return state.problem if state else ""
