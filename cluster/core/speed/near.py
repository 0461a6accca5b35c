"""Finding what a person typed in a table of names."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from cluster.core.errors import InvalidField

Entry = TypeVar("Entry")


def found(name: str, table: Mapping[str, Entry], field: str, remedy: str = "") -> Entry:
    """By name, whatever its capitals.  Raises InvalidField naming those that are near."""
    by_small = {known.lower(): known for known in table}
    small = name.strip().lower()
    if small in by_small:
        return table[by_small[small]]
    near = get_close_matches(small, by_small, n=4, cutoff=0.4)
    near += [known for known in by_small if small and small in known and known not in near][:4]
    listed = ", ".join(by_small[each] for each in near or sorted(by_small))
    said = f"{'Near are' if near else 'Known are'}: {listed}."
    raise InvalidField(field, f"{name!r} is not known.", f"{said} {remedy}".strip())
