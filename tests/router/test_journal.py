"""A journal replays: the same events through a new machine give the same commands."""

from pathlib import Path

import pytest

from cluster.core.commands import Command, Place, Queue
from cluster.core.machine import RouterMachine
from cluster.journal import Journal, read
from cluster.router import Router
from tests.router.test_shell import GATEWAY, SECRET, Clock, GatewayEnd, arrival, ready


class Noting(RouterMachine):
    """A machine that keeps what it commanded."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.said: list[Command] = []

    def handle(self, event, now):  # noqa: ANN001, ANN201 - the machine's own
        commands = super().handle(event, now)
        self.said += commands
        return commands


async def test_a_replay_gives_the_same_commands(tmp_path: Path) -> None:
    live, clock, gateway = Noting(3), Clock(), GatewayEnd()
    async with Router(live, 3, Journal(tmp_path, 3), clock) as router:
        await router.attach(GATEWAY, gateway)
        await router.ready(ready(), SECRET)
        for number in range(5):
            clock.now += 0.5
            await router.post([arrival(f"turn-{number}", 300, 100)])
        await gateway.next()
    again = Noting(3)
    for now, event in read(tmp_path / "router-00000003.journal"):
        again.handle(event, now)
    assert {type(command) for command in live.said} == {Place, Queue}
    assert again.said == live.said
    assert again.view(clock.now) == live.view(clock.now)


async def test_a_journal_holds_no_secret(tmp_path: Path) -> None:
    async with Router(RouterMachine(1), 1, Journal(tmp_path, 1)) as router:
        await router.ready(ready(), SECRET)
    written = (tmp_path / "router-00000001.journal").read_bytes()
    assert b"ReplicaReady" in written
    assert SECRET not in written


def test_a_record_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1)
    for number in range(3):
        journal.append(arrival(f"turn-{number}"), float(number))
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes()[:-5])
    assert [now for now, _ in read(journal.path)] == [0.0, 1.0]


def test_the_newest_two_epochs_are_kept_and_each_is_bounded(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        journal = Journal(tmp_path, epoch, max_bytes=1000)
        for _ in range(100):
            journal.append(arrival("turn"), 0.0)
        journal.close()
    left = sorted(tmp_path.iterdir())
    assert [path.name for path in left] == ["router-00000003.journal", "router-00000004.journal"]
    assert all(0 < path.stat().st_size <= 1000 for path in left)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_router_does_without_a_journal_whose_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "router-00000001.journal").symlink_to("/dev/full")
    journal = Journal(tmp_path, 1)
    for _ in range(5000):
        journal.append(arrival("turn"), 0.0)
    journal.flush()
    journal.close()


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1)
    journal.append(arrival("turn"), 0.0)
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes().replace(b"TurnArrived", b"TurnVanishe"))
    with pytest.raises(ValueError, match="TurnVanishe"):
        list(read(journal.path))


@pytest.mark.parametrize("content", [b"not one of ours", b"\x1f\x8b\x08", b"\x81\xa3now\x01", b"\xc1"])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "router-00000001.journal"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="router-00000001"):
        list(read(path))
