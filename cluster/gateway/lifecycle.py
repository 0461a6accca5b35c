"""What people and programs ask of a model's life: load it, unload it, follow how far it has come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cluster.core.errors import HearthError, InvalidRequest, ModelNotFound, Overloaded
from cluster.core.events import LoadAsked, UnloadAsked
from cluster.core.ids import Cause
from cluster.core.view import ModelStatus, PoolView
from cluster.gateway.link import RouterLink
from cluster.ports import RouterAway

FOLLOW_S = 0.25
"""Between two looks at a model on its way."""


class RunsByItself(InvalidRequest):
    """An upstream's model is loaded by the program that serves it."""

    code = "not_managed"

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return (
            f"The model `{self.model}` runs by itself: the upstream that serves it loads and unloads it. "
            "Ask that program."
        )

    @property
    def param(self) -> str | None:
        return "model"


class NotLoaded(HearthError):
    """The load that was followed has ended without a model; the reason has its remedy."""

    status = 409
    type = "invalid_request_error"
    code = "load_failed"
    should_retry = False

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(model, reason)
        self.model, self.reason = model, reason

    def __str__(self) -> str:
        return f"The model `{self.model}` was not loaded: {self.reason}"


@dataclass(frozen=True, slots=True)
class Asked:
    """The model after the router has heard the wish.  `note`: what a person should know of it, or empty."""

    model: ModelStatus
    note: str = ""


async def view_of(link: RouterLink, max_age_s: float = 0.5) -> PoolView:
    """Raises Overloaded where no router answers."""
    try:
        return await link.view(max_age_s)
    except RouterAway as fault:
        raise Overloaded("its router does not answer") from fault


def find(view: PoolView, model: str) -> ModelStatus:
    """Raises ModelNotFound with the names there are."""
    for status in view.models:
        if status.model == model:
            return status
    raise ModelNotFound(model, [status.model for status in view.models])


async def load(link: RouterLink, model: str) -> Asked:
    """One that is loaded or on its way stays so.  Raises ModelNotFound, RunsByItself, Overloaded."""
    _managed(find(await view_of(link), model))
    return Asked(await _say(link, LoadAsked(model, Cause(f"load {model}"))))


async def unload(link: RouterLink, model: str) -> Asked:
    """Gives its memory back once its turns have ended.  Raises ModelNotFound, RunsByItself, Overloaded."""
    before = _managed(find(await view_of(link), model))
    after = await _say(link, UnloadAsked(model, Cause(f"unload {model}")))
    return Asked(after, _note(before))


def _managed(status: ModelStatus) -> ModelStatus:
    if not status.managed:
        raise RunsByItself(status.model)
    return status


def _note(status: ModelStatus) -> str:
    notes: list[str] = []
    if status.num_running:
        turns = "1 turn" if status.num_running == 1 else f"{status.num_running} turns"
        notes.append(f"{turns} in flight will end first.")
    if status.keep_warm:
        notes.append("It is to be kept warm: its next turn, or the next start of the pool, loads it again.")
    return " ".join(notes)


async def _say(link: RouterLink, event: LoadAsked | UnloadAsked) -> ModelStatus:
    try:
        await link.post(event)
    except RouterAway as fault:
        raise Overloaded("its router does not answer") from fault
    return find(await view_of(link, max_age_s=0.0), event.model)


async def follow(link: RouterLink, began: ModelStatus) -> AsyncIterator[ModelStatus]:
    """`began`, and the model again each time it has changed; the last one is ready.

    Raises NotLoaded where it failed, fits nowhere, or is not wanted any more; and what `view_of` and `find`
    raise.
    """
    status = began
    yield status
    while status.state != "ready":
        if problem := why_not(status):
            raise NotLoaded(status.model, problem)
        await asyncio.sleep(FOLLOW_S)
        last, status = status, find(await view_of(link, FOLLOW_S / 2), status.model)
        if status != last:
            yield status


def why_not(status: ModelStatus) -> str:
    """Why a model that was to be loaded will not be; empty where it may."""
    if status.state == "failed" or not status.fits:
        return status.reason
    if status.state in ("unloaded", "unloading") and not status.wanted:
        return "somebody has unloaded it again."
    return ""
