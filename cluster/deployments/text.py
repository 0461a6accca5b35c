"""Token ids to text, one at a time, and the texts that end an answer.

The text lags behind where a character spans several tokens, and where it may be the beginning of a stop
text.  Ids whose text may be such a beginning are kept back with it; those of an unfinished character are
not, because whoever goes on from them finds the character again.
"""

from collections.abc import Callable, Sequence

CONTEXT_TOKENS = 8
MAX_WINDOW_TOKENS = 64
UNKNOWN = "\ufffd"

Decode = Callable[[Sequence[int]], str]


class Detokenizer:
    """`context`: the ids before the answer, on which its first text depends.

    `bytewise`: the tokens are bytes, so that no more than the last unknown character is unfinished.
    """

    def __init__(self, decode: Decode, context: Sequence[int], *, bytewise: bool) -> None:
        self._decode, self._bytewise = decode, bytewise
        self._window = list(context[-CONTEXT_TOKENS:])
        self._num_told = len(self._whole(decode(self._window)))

    def add(self, token: int) -> str:
        self._window.append(token)
        text = self._decode(self._window)
        whole = self._whole(text)
        fresh, self._num_told = whole[self._num_told :], max(len(whole), self._num_told)
        if len(self._window) > MAX_WINDOW_TOKENS and len(whole) == len(text):
            self._window = self._window[-CONTEXT_TOKENS:]
            self._num_told = len(self._decode(self._window))
        return fresh

    def rest(self) -> str:
        """What is unfinished when nothing more comes."""
        return self._decode(self._window)[self._num_told :]

    def _whole(self, text: str) -> str:
        if self._bytewise:
            return text.removesuffix(UNKNOWN)
        return text.rstrip(UNKNOWN)


class Answer:
    """The ids of an answer and their text, as far as both may be told.  `stop`: texts that end it."""

    def __init__(self, detokenizer: Detokenizer, stop: Sequence[str]) -> None:
        self._detokenizer, self._stop = detokenizer, tuple(filter(None, stop))
        self._kept: list[tuple[int, str]] = []
        self.is_stopped = False

    def add(self, token: int) -> tuple[list[int], str]:
        """What can be told now; sets `is_stopped` where a stop text is complete."""
        self._kept.append((token, self._detokenizer.add(token)))
        return self._tell()

    def end(self) -> tuple[list[int], str]:
        """What is left when the engine has ended the answer."""
        rest = self._detokenizer.rest()
        if rest and self._kept:
            token, text = self._kept[-1]
            self._kept[-1] = token, text + rest
            rest = ""
        ids, text = self._tell()
        if not self.is_stopped:
            more, left = self._take(len(self._kept))
            ids, text = ids + more, text + left
        return ids, text + rest

    def _tell(self) -> tuple[list[int], str]:
        text = "".join(piece for _, piece in self._kept)
        found = [place for place in map(text.find, self._stop) if place >= 0]
        if found:
            self.is_stopped = True
            ids, told = self._take(self._num_before(min(found), text, whole=False))
            return ids, told[: min(found)]
        return self._take(self._num_before(len(text) - self._num_begun(text), text, whole=True))

    def _num_begun(self, text: str) -> int:
        """How much of the end of `text` may begin a stop text."""
        longest = 0
        for stop in self._stop:
            lengths = range(min(len(stop) - 1, len(text)), longest, -1)
            longest = next((length for length in lengths if text.endswith(stop[:length])), longest)
        return longest

    def _num_before(self, place: int, text: str, *, whole: bool) -> int:
        """How many kept tokens end (`whole`) or begin before `place` in their text."""
        if whole and place == len(text):
            return len(self._kept)
        num, at = 0, 0
        for _, piece in self._kept:
            if (at + len(piece) if whole else at) > place or (not whole and at == place):
                break
            num, at = num + 1, at + len(piece)
        return num

    def _take(self, num: int) -> tuple[list[int], str]:
        taken, self._kept = self._kept[:num], self._kept[num:]
        return [token for token, _ in taken], "".join(piece for _, piece in taken)
