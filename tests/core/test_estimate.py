"""Estimates are honest: of memory as much as of slots, and of replicas that the turn may use."""

import pytest

from cluster.core.commands import Queue, Reject
from cluster.core.facts import Locality, Privacy, Speed
from tests.core.drive import Drive, only

SPEED = Speed(1000.0, 10.0)


def running(drive: Drive, name: str, lease: str, prompt: int, output: int) -> None:
    drive.arrive(name, prompt, max_tokens=output)
    drive.start(lease, prompt, prompt + output)


def test_a_turn_waits_for_memory_where_slots_are_free() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000, num_slots=8, speed=SPEED)
    running(drive, "small", "1-1", 200, 100)
    told = only(drive.arrive("large", 800, max_tokens=50), Queue)
    assert told.estimate_s == pytest.approx(0.2 + 100 / 10), "until the small one has ended, not 0"


def test_each_turn_that_waits_adds_to_the_next_ones_wait() -> None:
    drive = Drive()
    drive.ready(num_slots=1, speed=SPEED)
    running(drive, "a", "1-1", 100, 10)
    told = [only(drive.arrive(f"b{index}", 100, max_tokens=10), Queue).estimate_s for index in range(3)]
    assert told == pytest.approx([1.1, 2.2, 3.3])


def test_two_slots_are_twice_as_fast_as_one() -> None:
    drive = Drive()
    drive.ready(num_slots=2, speed=SPEED)
    running(drive, "a", "1-1", 100, 10)
    running(drive, "b", "1-2", 100, 10)
    told = [only(drive.arrive(f"c{index}", 100, max_tokens=10), Queue).estimate_s for index in range(4)]
    assert told == pytest.approx([1.1, 1.1, 2.2, 2.2])


def test_a_turn_that_stays_home_does_not_count_on_hosted_replicas() -> None:
    drive = Drive()
    drive.ready("r", num_slots=1, speed=SPEED)
    running(drive, "a", "1-1", 100, 60)
    drive.ready("cloud", locality=Locality.HOSTED)
    told = only(drive.arrive("b", 100, privacy=Privacy.LOCAL_ONLY), Queue)
    assert told.estimate_s == pytest.approx(0.1 + 6.0)


def test_an_impatient_client_is_told_how_long_memory_would_take() -> None:
    drive = Drive()
    drive.ready(kv_tokens=1000, num_slots=8, speed=SPEED)
    running(drive, "small", "1-1", 200, 100)
    error = only(drive.arrive("large", 800, max_tokens=50, patience_s=5.0), Reject).error
    assert "Estimated wait: 10 s" in str(error)
