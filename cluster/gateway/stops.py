"""Stop strings, wherever the text is cut."""

from collections.abc import Collection, Iterable


def held_back(text: str, words: Iterable[str]) -> int:
    """How many characters at the end of `text` may be the beginning of one of `words`."""
    return max((_overlap(text, word) for word in words), default=0)


def _overlap(text: str, word: str) -> int:
    for length in range(min(len(text), len(word) - 1), 0, -1):
        if text.endswith(word[:length]):
            return length
    return 0


class Stops:
    """Lets text through up to the stop string that is complete first (of two, the longer one)."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = tuple(words)
        self._held = ""
        self.is_hit = False

    def feed(self, text: str) -> str:
        if self.is_hit:
            return ""
        text = self._held + text
        found = [(at + len(word), at) for word in self._words if (at := text.find(word)) >= 0]
        if found:
            self.is_hit, self._held = True, ""
            return text[: min(found)[1]]
        keep = held_back(text, self._words)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was held back and turned out to be no stop string."""
        held, self._held = self._held, ""
        return held
