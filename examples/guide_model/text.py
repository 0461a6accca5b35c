"""Reads the guide's text: intents with one answer each, and the many ways to ask for it.

The files in `text/` are plain lines:

    ## add-machine              an intent; the same name may appear again and adds questions
    = The answer, one line.
    * several machines | planned    what every right answer must contain
    @ term                      asked about with every frame of [about] in frames.txt
    > add a {machine}           asked with every frame of [howto]
    can i (use|pool) two macs   a question as it stands
    # a comment

`(a|b|)` means one of these, `{name}` one entry of that list in words.txt.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "text"
HELD_OUT = Path(__file__).parent / "heldout"
OFF_TOPIC = "off-topic"

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)|\{([a-z_]+)\}")
_ARTICLES = re.compile(r"\b(?:an?|the) (the|an?) ")
_DROPPED = str.maketrans("", "", "\"'`*\u2018\u2019\u201c\u201d")
_SPACED = str.maketrans({mark: " " for mark in "?!,;()[]\n\r\t"})


@dataclass
class Intent:
    """One answer and the ways to ask for it; `keys` are lower-case parts a right answer contains."""

    name: str
    answer: str = ""
    keys: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)
    howto: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """Everything the guide is trained on: intents by name, word lists, frames by section."""

    intents: dict[str, Intent]
    words: dict[str, list[str]]
    frames: dict[str, list[str]]


def normalise(text: str) -> str:
    """The form in which the model sees a message; the GGUF's chat template does the same."""
    text = text.lower().translate(_DROPPED).replace("<|", "<").translate(_SPACED) + " "
    return " ".join(text.replace(". ", " ").replace(": ", " ").split())


def expand(line: str, words: dict[str, list[str]], rng: random.Random) -> str:
    """One reading of a line: a random branch of every `(a|b)` and a random entry of every `{list}`."""

    def pick(match: re.Match[str]) -> str:
        branches, name = match.groups()
        return rng.choice(branches.split("|") if name is None else words[name])

    while (found := _CHOICE.sub(pick, line)) != line:
        line = found
    return " ".join(line.split())


def phrase(intent: Intent, text: Text, rng: random.Random) -> str:
    """A random question of the intent; lines weigh the same, a framed line three times as much."""
    weights = [3] * (len(intent.about) + len(intent.howto)) + [1] * len(intent.questions)
    index = rng.choices(range(len(weights)), weights)[0]
    lines = intent.about + intent.howto + intent.questions
    line = lines[index]
    if index < len(intent.about):
        line = rng.choice(text.frames["about"]).replace("%", line)
    elif index < len(intent.about) + len(intent.howto):
        line = rng.choice(text.frames["howto"]).replace("%", line)
    return _ARTICLES.sub(r"\1 ", expand(line, text.words, rng))


def load(folder: Path = FOLDER) -> Text:
    """Reads every file of the folder; ValueError names the file and line of a mistake."""
    intents: dict[str, Intent] = {}
    for path in sorted(folder.glob("*.txt")):
        if path.name not in ("words.txt", "frames.txt"):
            _read_intents(path, intents)
    for intent in intents.values():
        if not intent.answer or not (intent.about or intent.howto or intent.questions):
            raise ValueError(f"intent {intent.name} needs an answer (= ...) and a question")
    return Text(intents, _read_words(folder / "words.txt"), _read_frames(folder / "frames.txt"))


def read_questions(path: Path) -> list[tuple[str, str]]:
    """(intent, question) of a file with only `## intent` headings and plain questions."""
    pairs: list[tuple[str, str]] = []
    name = ""
    for number, line in _lines(path):
        if line.startswith("## "):
            name = line[3:]
        elif name:
            pairs.append((name, line))
        else:
            raise ValueError(f"{path.name}:{number}: start with an intent: ## name")
    return pairs


def held_out(folder: Path = HELD_OUT) -> frozenset[str]:
    """The normalised questions that training never sees."""
    pairs = (pair for path in sorted(folder.glob("*.txt")) for pair in read_questions(path))
    return frozenset(normalise(question) for _, question in pairs)


def _lines(path: Path) -> list[tuple[int, str]]:
    numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [(n, s.strip()) for n, s in numbered if s.strip() and not s.startswith("# ")]


def _read_intents(path: Path, intents: dict[str, Intent]) -> None:
    intent: Intent | None = None
    for number, line in _lines(path):
        if line.startswith("## "):
            intent = intents.setdefault(line[3:], Intent(line[3:]))
        elif intent is None:
            raise ValueError(f"{path.name}:{number}: start with an intent: ## name")
        else:
            _add(intent, line, f"{path.name}:{number}")


def _add(intent: Intent, line: str, where: str) -> None:
    mark, rest = line[:2], line[2:].strip()
    if mark == "= ":
        if intent.answer:
            raise ValueError(f"{where}: intent {intent.name} has an answer already")
        intent.answer = rest
    elif mark == "* ":
        intent.keys += [part.strip().lower() for part in rest.split("|")]
    elif mark == "@ ":
        intent.about.append(rest)
    elif mark == "> ":
        intent.howto.append(rest)
    else:
        intent.questions.append(line)


def _read_words(path: Path) -> dict[str, list[str]]:
    pairs = (line.partition(":")[::2] for _, line in _lines(path))
    return {name.strip(): [w.strip() for w in rest.split(",")] for name, rest in pairs}


def _read_frames(path: Path) -> dict[str, list[str]]:
    frames: dict[str, list[str]] = {}
    section: list[str] = []
    for _, line in _lines(path):
        if line.startswith("["):
            section = frames.setdefault(line.strip("[]"), [])
        else:
            section.append(line)
    return frames
