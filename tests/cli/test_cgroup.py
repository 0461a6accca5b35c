"""A container or a service with a memory limit is as small as that limit."""

from pathlib import Path

import pytest

from cluster.inventory.cgroup import Limit, memory_limit

GIB = 2**30


def system(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A file system with what the kernel shows: the process's own groups, and files below /sys/fs/cgroup."""
    texts = {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {
    "user.slice/memory.max": f"{16 * GIB}\n",
    "user.slice/memory.current": f"{3 * GIB}\n",
    "user.slice/memory.stat": f"anon {GIB}\nfile {2 * GIB}\ninactive_file {GIB}\n",
    "user.slice/hearth.service/memory.max": "max\n",
    "user.slice/hearth.service/memory.current": f"{GIB}\n",
}


def test_the_limit_of_a_group_above_counts_without_its_file_cache(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/user.slice/hearth.service\n", V2)
    assert memory_limit(root) == Limit(16 * GIB, 2 * GIB)


def test_the_group_with_least_left_decides(tmp_path: Path) -> None:
    tight = {**V2, "user.slice/hearth.service/memory.max": f"{2 * GIB}\n"}
    root = system(tmp_path, "0::/user.slice/hearth.service\n", tight)
    assert memory_limit(root) == Limit(2 * GIB, GIB)


def test_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    files = {"memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n"}
    assert memory_limit(system(tmp_path, "0::/\n", files)) == Limit(4 * GIB, GIB)


def test_version_1_names_a_group_that_a_container_may_not_see(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": f"{8 * GIB}\n",
        "memory/memory.usage_in_bytes": f"{5 * GIB}\n",
        "memory/memory.stat": f"cache {2 * GIB}\ninactive_file 7\ntotal_inactive_file {GIB}\n",
    }
    cgroup = "9:name=systemd:/\n4:memory:/docker/4d23\n1:cpu,cpuacct:/\n0::/\n"
    assert memory_limit(system(tmp_path, cgroup, files)) == Limit(8 * GIB, 4 * GIB)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1\n"},
        {"memory/memory.limit_in_bytes": "many\n", "memory/memory.usage_in_bytes": "\x00\n"},
        {"memory/memory.limit_in_bytes": f"{8 * GIB}\n"},
    ],
)
def test_what_is_not_told_does_not_limit(tmp_path: Path, files: dict[str, str]) -> None:
    assert memory_limit(system(tmp_path, "4:memory:/\n0::/\nnonsense\n", files)) is None


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
