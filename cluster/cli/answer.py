"""One answer on the terminal: what its turn waits for, then its words as they come."""

from typing import Any

from rich.markup import escape

from cluster.cli.markdown import MarkdownStream
from cluster.cli.progress import bar_words
from cluster.cli.terminal import err, out, printable

PLACE = ("node", "engine", "locality")


class Answer:
    """Takes the chunks of a stream in.  `shown` False: nothing is printed."""

    def __init__(self, model: str, shown: bool) -> None:
        self._model = model
        self._page = MarkdownStream(out) if shown else None
        self._status = err.status("", spinner="dots") if shown and err.is_terminal else None
        self._parts: list[str] = []
        self._place = dict.fromkeys(PLACE, "")
        self._usage: dict[str, Any] | None = None
        self._finish: str | None = None

    @property
    def content(self) -> str:
        return "".join(self._parts)

    def take(self, chunk: dict[str, Any]) -> None:
        self._usage = chunk.get("usage") or self._usage
        self._placed(chunk.get("headers", {}), "x-hearth-")
        told = chunk.get("hearth", {})
        self._placed(told, "")
        if "state" in told:
            self._waits(told)
        for choice in chunk.get("choices", ()):
            self._finish = choice.get("finish_reason") or self._finish
            self._say(choice.get("delta", {}).get("content") or "")

    def _placed(self, told: dict[str, Any], prefix: str) -> None:
        known = {key: told[prefix + key] for key in PLACE if told.get(prefix + key, "pending") != "pending"}
        self._place |= known

    def _waits(self, told: dict[str, Any]) -> None:
        if self._status is not None:
            self._status.update(escape(waiting_words(self._model, told)))
            self._status.start()

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._status is not None:
            self._status.stop()
        self._parts.append(text)
        if self._page is not None:
            self._page.feed(text)

    def close(self) -> None:
        """Ends what is on the terminal, however much of the answer has come."""
        if self._status is not None:
            self._status.stop()
        if self._page is not None:
            self._page.close()

    def body(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "content": self.content,
            "finish_reason": self._finish,
            "usage": self._usage,
            **self._place,
        }


def waiting_words(model: str, told: dict[str, Any]) -> str:
    """What a waiting turn is told, in a line."""
    if told["state"] == "loading":
        return f"loading {model}: {printable(told['stage'])} {bar_words(told['fraction'])}".rstrip()
    return f"waiting for a place: number {told['position']}, about {told['estimate_s']:.0f} s"
