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


def test_the_lock_satisfies_each_dependency() -> None:
    locked = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/test.txt").read_text(), re.MULTILINE)
    )
    for line in dependencies():
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[wanted.name.lower()]), f"{line}: run make lock"


def test_base_and_test_requirements_agree() -> None:
    base, test = ((ROOT / f"requirements/{name}.txt").read_text() for name in ("base", "test"))
    assert set(base.splitlines()) <= set(test.splitlines())
