"""Markdown in a stream: colours appear as soon as they can, and no character of the text is lost."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from cluster.cli.markdown import MarkdownStream

TEXT = "# Title\nplain **bold** and `code` 2*3\n```py\nx = '**'\n```\nend"


def _render(pieces: Sequence[str], terminal: bool = True) -> str:
    file = io.StringIO()
    stream = MarkdownStream(Console(file=file, force_terminal=terminal, color_system="standard", _environ={}))
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return file.getvalue()


def test_a_pipe_gets_the_text_as_it_is() -> None:
    assert _render([TEXT], terminal=False) == TEXT + "\n"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_however_it_is_cut_it_looks_the_same(size: int) -> None:
    pieces = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
    shown = _render(pieces)
    assert "\x1b[1mb" in shown
    assert "\x1b[36mc" in shown
    assert _plain(shown) == "# Title\nplain bold and code 2*3\nx = '**'\nend\n"


def test_a_mark_that_never_closes_is_shown() -> None:
    assert _plain(_render(["2 *"])) == "2 *\n"


def test_markup_of_the_terminal_is_only_text() -> None:
    assert _plain(_render(["[red]not red[/]"])) == "[red]not red[/]\n"


def _plain(shown: str) -> str:
    out, rest = "", shown
    while "\x1b[" in rest:
        head, _, rest = rest.partition("\x1b[")
        out, rest = out + head, rest.partition("m")[2]
    return out + rest


@pytest.mark.parametrize("terminal", [True, False])
def test_an_answer_cannot_command_the_terminal(terminal: bool) -> None:
    attack = "a\x1b[2J\x1b]0;title\x07b\x9b31mc\rd\x7f\ne"
    assert _plain(_render([attack], terminal)) == "a␛[2J␛]0;title␇b\ufffd31mcd␡\ne\n"
