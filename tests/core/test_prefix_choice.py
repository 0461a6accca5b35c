"""Where a prompt goes: it stays with its prefix while that is worth the wait."""

import pytest

from cluster.core.ids import ReplicaId
from cluster.core.prefixes.choice import WINDOW_S, Offer, RecentWork, cheapest


def offer(
    name: str, wait_s: float = 0.0, own_s: float = 0.0, work_s: float = 0.0, shared_s: float = 0.0
) -> Offer:
    return Offer(ReplicaId(name), wait_s, own_s + shared_s, own_s, work_s)


def test_a_session_waits_where_its_prefix_is() -> None:
    assert cheapest([offer("idle", own_s=2.0), offer("holder", wait_s=10.0)]).replica == "holder"
    assert cheapest([offer("idle", own_s=2.0), offer("holder", wait_s=60.0)]).replica == "idle"


def test_what_many_share_is_copied_as_soon_as_waiting_costs_more() -> None:
    assert cheapest([offer("idle", shared_s=2.0), offer("holder", wait_s=10.0)]).replica == "idle"
    assert cheapest([offer("idle", shared_s=2.0), offer("holder", wait_s=1.0)]).replica == "holder"


def test_what_nobody_holds_goes_to_the_least_worked() -> None:
    offers = [offer("much", own_s=3.0, work_s=50.0), offer("little", own_s=3.0, work_s=40.0)]
    assert cheapest(offers).replica == "little"


def test_work_is_forgotten() -> None:
    work = RecentWork().with_more(100.0, 50.0)
    assert work.until(50.0) == 100.0
    assert work.until(50.0 + WINDOW_S) == pytest.approx(36.8, abs=0.1)
    assert work.with_more(10.0, 50.0).until(50.0) == 110.0
