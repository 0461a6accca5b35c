"""The life of a model: loaded when a turn needs it, unloaded when its memory is worth more elsewhere."""

from cluster.core.context import Context
from cluster.core.events import DeploymentLoading, LoadAsked, LoaderReport, LoadFailed, UnloadAsked


def load_asked(ctx: Context, event: LoadAsked, now: float) -> None: ...


def unload_asked(ctx: Context, event: UnloadAsked, now: float) -> None: ...


def loader_report(ctx: Context, event: LoaderReport, now: float) -> None: ...


def load_failed(ctx: Context, event: LoadFailed, now: float) -> None: ...


def loading(ctx: Context, event: DeploymentLoading, now: float) -> None: ...
