"""Model files from a hub, through huggingface_hub: its cache, its tokens, its HF_HUB_OFFLINE."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers
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
        cached = [path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.gguf")]
    except (LocalEntryNotFoundError, HFValidationError):
        cached = []
    return cached or _ask(repository)


def cached_sizes(repository: str) -> dict[str, int]:
    """The bytes of each file of a repository that is in the cache, by name."""
    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return {}
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def hub_sizes(repository: str) -> dict[str, int]:
    """The bytes of each file of a repository at the hub, by name.  Raises EngineFault."""
    try:
        info = HfApi().model_info(repository, files_metadata=True, timeout=LIST_TIMEOUT_S)
    except _FAULTS as fault:
        raise _unreachable(repository, fault) from fault
    return {entry.rfilename: entry.size or 0 for entry in info.siblings or ()}


def read_start(repository: str, name: str, num_bytes: int) -> bytes:
    """The first bytes of a file at the hub, or all of a smaller one.  Raises EngineFault."""
    headers = {**build_hf_headers(), "Range": f"bytes=0-{num_bytes - 1}"}
    start = bytearray()
    try:
        with httpx.stream(
            "GET",
            hf_hub_url(repository, name),
            headers=headers,
            follow_redirects=True,
            timeout=LIST_TIMEOUT_S,
        ) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                start += piece
                if len(start) >= num_bytes:
                    break
    except _FAULTS as fault:
        raise _unreachable(f"{repository}:{name}", fault) from fault
    return bytes(start[:num_bytes])


def _ask(repository: str) -> list[str]:
    return list(hub_sizes(repository))


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
    """The hub's own words may quote a request; ours say what it means."""
    if isinstance(fault, RepositoryNotFoundError | EntryNotFoundError | HFValidationError):
        problem, remedy = (
            "is not there, or not for everybody",
            "Check the name; a private one needs HF_TOKEN.",
        )
    elif isinstance(fault, OfflineModeIsEnabled):
        problem, remedy = "is not on this disk, and HF_HUB_OFFLINE is set", "Unset it for the download."
    else:
        problem = f"could not be had ({type(fault).__name__})"
        remedy = "Check name and network, and start again: what has come is kept."
    return EngineFault(f"hf:{what} {problem}.", f"{remedy} Or download the file and name its path.")
