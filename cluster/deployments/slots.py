"""Which sequence slot of llama.cpp holds which session, so that a prefix stays where it is."""

from cluster.core.ids import SessionKey


class Slots:
    """Slots by number.  A session keeps its slot until another one needs it or it is evicted."""

    def __init__(self, num_slots: int) -> None:
        self._busy: set[int] = set()
        # Ordered by last use: the first one is taken first.
        self._holder: dict[int, SessionKey | None] = dict.fromkeys(range(num_slots))

    def take(self, session: SessionKey) -> int | None:
        """The session's own slot, else an empty one, else the longest idle one; None: all are busy."""
        idle = [slot for slot in self._holder if slot not in self._busy]
        if not idle:
            return None
        own = [slot for slot in idle if self._holder[slot] == session]
        empty = [slot for slot in idle if self._holder[slot] is None]
        slot = (own or empty or idle)[0]
        self._busy.add(slot)
        self._holder.pop(slot)
        self._holder[slot] = session
        return slot

    def release(self, slot: int) -> None:
        self._busy.discard(slot)

    def forget(self, session: SessionKey) -> list[int]:
        """Takes the session's idle slots to empty them, and returns them: release each once it is empty.

        Until then nobody computes there: the engine would empty the slot after that turn only.
        """
        idle = [slot for slot, holder in self._holder.items() if holder == session and slot not in self._busy]
        for slot in idle:
            self._holder[slot] = None
            self._busy.add(slot)
        return idle
