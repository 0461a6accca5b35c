"""Markdown as far as a stream can show it: headings, bold, code.  Without colours the marks stay."""

import re

from rich.console import Console
from rich.style import Style

from cluster.cli.terminal import printable

FENCE = "```"
PLAIN = re.compile(r"[^`*\n]+\n?")
"""Text in which no mark can begin; a heading's begins a line."""

STYLES = {"**": Style(bold=True), "`": Style(color="cyan")}
CODE = Style(color="cyan")
HEADING = Style(bold=True, underline=True)


class MarkdownStream:
    """Prints text as it comes.  A mark that is cut by the edge of a piece waits for the next piece."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""
        self._mark = ""
        self._in_code = self._in_heading = False
        self._at_line_start = True

    def feed(self, text: str) -> None:
        text = printable(text)
        if not self._console.is_terminal:
            self._write(text, None)
            return
        self._rest += text
        while step := self._step():
            self._rest = self._rest[step:]

    def close(self) -> None:
        self._write(self._rest + ("" if self._at_line_start and not self._rest else "\n"), self._style())

    def _step(self) -> int:
        """Shows the beginning of what is there; returns how much of it."""
        rest = self._rest
        if not rest or (len(rest) < len(FENCE) and rest[0] in "`*#"):
            return 0
        if self._at_line_start and rest.startswith(FENCE):
            return self._fence()
        if self._at_line_start and rest[0] == "#" and not self._in_code:
            self._in_heading = True
        for mark in STYLES:
            if rest.startswith(mark) and not self._in_code and self._mark in ("", mark):
                self._mark = "" if self._mark else mark
                return len(mark)
        plain = PLAIN.match(rest)
        text = plain.group() if plain else rest[0]
        self._write(text, self._style())
        return len(text)

    def _fence(self) -> int:
        end = self._rest.find("\n")
        if end < 0:
            return 0
        self._in_code = not self._in_code
        return end + 1

    def _style(self) -> Style | None:
        if self._in_code:
            return CODE
        return HEADING if self._in_heading else STYLES.get(self._mark)

    def _write(self, text: str, style: Style | None) -> None:
        if not text:
            return
        self._console.print(text, style=style, end="", markup=False, emoji=False, highlight=False)
        self._console.file.flush()
        self._at_line_start = text.endswith("\n")
        if self._at_line_start:
            self._in_heading, self._mark = False, ""
