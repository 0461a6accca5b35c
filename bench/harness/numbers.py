"""Figures from many: medians over repeats, quantiles, how far from an order."""

from collections.abc import Sequence
from statistics import median


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, by linear interpolation."""
    ranked = sorted(values)
    at = share * (len(ranked) - 1)
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])


def median_or_none(values: Sequence[float | None], digits: int = 3) -> float | None:
    """None where nothing was measured."""
    known = [value for value in values if value is not None]
    return round(median(known), digits) if known else None


def displacements(arrived: Sequence[str], started: Sequence[str]) -> list[int]:
    """How many places each one started away from its place in the order of arrival."""
    places = {name: place for place, name in enumerate(arrived)}
    return [abs(places[name] - place) for place, name in enumerate(started)]


def rank_correlation(moved: Sequence[int]) -> float:
    """Spearman's, of displacements: 1 is the order of arrival, -1 the reverse."""
    num = len(moved)
    if num < 2:
        return 1.0
    return 1 - 6 * sum(each * each for each in moved) / (num * (num * num - 1))
