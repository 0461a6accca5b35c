"""What matters in the last lines of a vLLM that could not start."""

import re

MAX_LINES = 6
MAX_LINE_CHARS = 240

_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?((ERROR|WARNING|INFO) [\d-]+ [\d:]+ (\[\S+:\d+\] )?)?")
_TELLS = re.compile(r"error|exception|cannot|not supported|killed", re.IGNORECASE)
_SAYS_NOTHING = re.compile(r"root cause|raise |^\s*File |visit https?://|During handling of")


def in_short(tail: str) -> str:
    """The lines that name an error, else the last ones; without the marks of vLLM's log."""
    lines = [_PREFIX.sub("", line).rstrip()[:MAX_LINE_CHARS] for line in tail.splitlines()]
    telling = [line.strip() for line in lines if _TELLS.search(line) and not _SAYS_NOTHING.search(line)]
    return "\n".join((telling or lines)[-MAX_LINES:])
