"""Where a model's files are: a path, a folder, the guide that comes along, or a hub.

~/models/qwen3-8b-q4_k_m.gguf    this file; of a split model its first part
~/models/qwen3-8b/               the GGUF in this folder
builtin:guide                    the guide that comes along
hf:owner/repo[:file.gguf]        from a hub, once; later from its cache on this disk
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cluster.deployments import hub
from cluster.deployments.engine import EngineFault, Loading

GUIDE_PATH = Path(__file__).parents[1] / "models" / "guide.gguf"
FAVOURITE = "q4_k_m"
"""The quantisation that is chosen where there are several: about the best a gigabyte buys."""

Namer = Callable[[str], str]
"""From a file's name to what an engine loads."""

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


def find(source: str, progress: Callable[[Loading], None]) -> tuple[Path, ...]:
    """The model's files, in order.  Downloads what is not here.  Raises EngineFault with a remedy."""
    if source == "builtin:guide":
        return _existing(GUIDE_PATH)
    if source.startswith("hf:"):
        repository, _, name = source.removeprefix("hf:").partition(":")
        names = parts_of(name or choose(hub.list_files(repository), source))
        return tuple(hub.download(repository, part, progress) for part in names)
    path = Path(source).expanduser()
    if not path.is_dir():
        return _existing(path)
    name = choose((entry.name for entry in path.iterdir() if entry.is_file()), str(path))
    progress(Loading(f"found {name}"))
    return _existing(path / name)


def choose(names: Iterable[str], where: str) -> str:
    """The model among a folder's files.  Raises EngineFault where there is none or no obvious one."""
    models = sorted(name for name in names if is_model(name))
    favourites = [name for name in models if FAVOURITE in name.lower()]
    if len(models) == 1:
        return models[0]
    if len(favourites) == 1:
        return favourites[0]
    if not models:
        raise EngineFault(f"There is no GGUF in {where}.", "Name a file whose name ends in .gguf.")
    listed = ", ".join(models[:12])
    raise EngineFault(f"There are {len(models)} models in {where}: {listed}.", "Name one of them.")


def is_model(name: str) -> bool:
    """A GGUF with a model of its own, or the first part of one."""
    part = _PART.search(name)
    is_first = part is None or int(part[1]) == 1
    return name.lower().endswith(".gguf") and is_first and "mmproj" not in name.lower()


def parts_of(name: str) -> Sequence[str]:
    """The names of all parts of a model, given its first one."""
    part = _PART.search(name)
    if part is None:
        return [name]
    stem, count = name[: part.start()], int(part[2])
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def without_part(name: str) -> str:
    """The name of a split model without the number of its part."""
    return _PART.sub(".gguf", name)


def _existing(path: Path) -> tuple[Path, ...]:
    paths = tuple(path.with_name(name) for name in parts_of(path.name))
    for part in paths:
        if not part.is_file():
            raise EngineFault(f"There is no file {part}.", "Correct `models[].source`, or get the file.")
    return paths
