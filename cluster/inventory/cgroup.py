"""How much memory the control group of this process may hold: the limit of a container or of a service.

Version 2 (`memory.max`, `memory.current`) and version 1 (`memory.limit_in_bytes`, `memory.usage_in_bytes`),
as the kernel documents them.  What cannot be read does not limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED_BYTES = 2**60
"""Version 1 writes no limit as the largest multiple of a page below 2**63."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`used_bytes`: without the file cache that the kernel would give back first (`inactive_file`)."""

    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class _Version:
    """The names of one version's files."""

    mount: str
    limit: str
    used: str
    cache: str


_V1 = _Version(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_V2 = _Version("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def memory_limit(root: Path = Path("/")) -> Limit | None:
    """The tightest limit of this process's group and of those above it.  `root`: of the file system."""
    limits = [
        limit
        for version, group in _groups(_text(root / "proc/self/cgroup"))
        for limit in _limits(root / version.mount, group, version)
    ]
    return min(limits, key=lambda each: each.limit_bytes - each.used_bytes, default=None)


def _groups(text: str) -> Iterator[tuple[_Version, PurePosixPath]]:
    """Reads lines of `number:controllers:path`; those of version 2 name no controllers."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            yield _V1, PurePosixPath(path)
        elif number == "0" and not controllers:
            yield _V2, PurePosixPath(path)


def _limits(mount: Path, group: PurePosixPath, version: _Version) -> Iterator[Limit]:
    """Of each group from the process's own up to the root.  A container sees its own group as the root, and
    may be told a path that is not there."""
    for path in (group, *group.parents):
        folder = mount / str(path).lstrip("/")
        limit, used = _number(folder / version.limit), _number(folder / version.used)
        if limit is not None and used is not None and limit < UNLIMITED_BYTES:
            yield Limit(limit, max(used - _cache(folder / "memory.stat", version.cache), 0))


def _cache(file: Path, name: str) -> int:
    values = dict(line.split(" ", 1) for line in _text(file).splitlines() if " " in line)
    found = values.get(name, "").strip()
    return int(found) if found.isdecimal() else 0


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
