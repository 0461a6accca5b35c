"""Model files from a hub, through huggingface_hub: its cache, its tokens, its HF_HUB_OFFLINE."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import tqdm as HubBar  # noqa: N812 - it is a class

from cluster.deployments.engine import EngineFault, Loading

LIST_TIMEOUT_S = 15.0

_FAULTS = (HfHubHTTPError, OfflineModeIsEnabled, HFValidationError, httpx.HTTPError, OSError)


def list_files(repository: str) -> list[str]:
    """The names of the GGUFs of a repository: those in the cache, else those at the hub.

    Raises EngineFault where neither knows it.
    """
    try:
        folder = snapshot_download(repository, local_files_only=True)
        cached = [path.name for path in Path(folder).glob("*.gguf")]
    except (LocalEntryNotFoundError, HFValidationError):
        cached = []
    return cached or _ask(repository)


def _ask(repository: str) -> list[str]:
    try:
        info = HfApi().model_info(repository, timeout=LIST_TIMEOUT_S)
    except _FAULTS as fault:
        raise _unreachable(repository, fault) from fault
    return [entry.rfilename for entry in info.siblings or ()]


def download(repository: str, name: str, progress: Callable[[Loading], None]) -> Path:
    """One file, from the cache without a word to anybody, else downloaded."""
    try:
        return Path(hf_hub_download(repository, name, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as fault:
        raise _unreachable(repository, fault) from fault
    _ask(repository)  # fails at once where the hub cannot be reached; a download would try for long
    try:
        return Path(hf_hub_download(repository, name, tqdm_class=_bar(name, progress)))
    except _FAULTS as fault:
        raise _unreachable(f"{repository}:{name}", fault) from fault


def _bar(name: str, progress: Callable[[Loading], None]) -> type[HubBar]:
    class Bar(HubBar):
        """Tells `progress` instead of drawing."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **options | {"disable": True})
            self._num_done, self._num_all = options.get("initial") or 0, options.get("total") or 0

        def update(self, n: float | None = 1) -> None:
            self._num_done += n or 0
            fraction = min(self._num_done / self._num_all, 1.0) if self._num_all else None
            progress(Loading(f"downloading {name}", fraction))

    return Bar


def _unreachable(what: str, fault: Exception) -> EngineFault:
    reason = str(fault).strip().split("\n")[0]
    return EngineFault(
        f"hf:{what} could not be had: {reason}",
        "Check name and network (and HF_HUB_OFFLINE), or download the file and name its path.",
    )
