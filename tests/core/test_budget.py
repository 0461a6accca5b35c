"""Models that load at once do not count on the same bytes."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.budget import share

GIB = 2**30


@given(st.integers(0, 512 * GIB), st.dictionaries(st.text(min_size=1), st.integers(0, 300 * GIB), min_size=1))
def test_parts_never_exceed_what_is_usable(usable_bytes: int, weights: dict[str, int]) -> None:
    parts = share(usable_bytes, weights)
    assert parts.keys() == weights.keys()
    assert 0 <= sum(parts.values()) <= usable_bytes


@given(st.integers(4 * GIB, 512 * GIB), st.integers(0, 300 * GIB))
def test_one_model_gets_all_so_that_no_second_engine_fits(usable_bytes: int, weights: int) -> None:
    assert share(usable_bytes, {"only": weights}) == {"only": usable_bytes}


def test_a_larger_model_gets_more_and_a_tiny_one_enough() -> None:
    parts = share(24 * GIB, {"guide": 2**21, "large": 8 * GIB})
    assert parts["large"] > 10 * parts["guide"]
    assert parts["guide"] > GIB
