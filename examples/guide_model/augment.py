"""Random questions with their intent: the text's own lines, worn the way people wear them."""

from __future__ import annotations

import random
import string

from examples.guide_model.text import OFF_TOPIC, Intent, Text, expand, normalise, phrase

OFF_TOPIC_SHARE = 0.36
LONG_SHARE = 0.02
LONGEST_LINES = 40  # about 400 tokens
_SMALL = frozenset(
    "a an the do does did i to is are it its of for in on with my me you can could would please "  # noqa: SIM905
    "there this that how what whats be am so and we one".split()
)


class Asker:
    """Draws (normalised question, intent) pairs, never one that is `kept_out`."""

    def __init__(self, text: Text, seed: int, kept_out: frozenset[str] = frozenset()) -> None:
        self.text = text
        self.kept_out = kept_out
        self.rng = random.Random(seed)
        self.on_topic = [i for i in text.intents.values() if i.name != OFF_TOPIC]
        self.off_topic = text.intents[OFF_TOPIC]
        self.weights = [_weight(i) for i in self.on_topic]
        self.synonyms = _synonyms(text.frames["synonyms"])
        self.rewrites = [_rewrite(line) for line in text.frames["rewrites"]]
        ours = ("machine", "model", "own_model", "client")
        self.vocabulary = [w for name in text.words if name not in ours for w in text.words[name]]

    def draw(self) -> tuple[str, Intent]:
        question, intent = self._draw()
        while question in self.kept_out:
            question, intent = self._draw()
        return question, intent

    def _draw(self) -> tuple[str, Intent]:
        if self.rng.random() < OFF_TOPIC_SHARE:
            return normalise(self._off_topic()), self.off_topic
        intent = self.rng.choices(self.on_topic, self.weights)[0]
        question = self._worn(phrase(intent, self.text, self.rng), "tail")
        if self.rng.random() < LONG_SHARE:
            question = f"{self._frame('story')} {question} {self._frame('story')}"
        return normalise(question), intent

    def _off_topic(self) -> str:
        roll = self.rng.random()
        if roll < 0.12:
            return self._elsewhere()
        if roll < 0.18:
            return self._noise()
        if roll < 0.18 + LONG_SHARE:
            return self._ramble()
        return self._worn(phrase(self.off_topic, self.text, self.rng), "end")

    def _elsewhere(self) -> str:
        """A question of the guide's, asked about something else: of a moped, in Excel."""
        intent = self.rng.choices(self.on_topic, self.weights)[0]
        question = self._worn(phrase(intent, self.text, self.rng), "lead")
        question = question.replace("hearth", self._any("other_software"))
        return f"{question} {self._frame('elsewhere')}"

    def _ramble(self) -> str:
        lines = range(self.rng.randint(3, LONGEST_LINES))
        return " ".join(phrase(self.off_topic, self.text, self.rng) for _ in lines)

    def _noise(self) -> str:
        if self.rng.random() < 0.5:
            return " ".join(self.rng.choices(self.vocabulary, k=self.rng.randint(1, 6)))
        words = range(self.rng.randint(1, 7))
        return " ".join(self._letters(self.rng.randint(3, 9)) for _ in words)

    def _letters(self, count: int) -> str:
        vowels, others = "aeiou", string.ascii_lowercase
        return "".join(self.rng.choice((others, vowels)[i % 2]) for i in range(count))

    def _worn(self, question: str, tails: str) -> str:
        if self.rng.random() < 0.35:
            question = self._rewritten(question)
        if self.rng.random() < 0.35:
            question = self._swapped(question)
        if self.rng.random() < 0.12:
            question = self._terse(question)
        if self.rng.random() < 0.12:
            question = self._typo(question)
        if self.rng.random() < 0.06:
            question = self._filler(question)
        if self.rng.random() < 0.15:
            question = f"{self._frame('lead')} {question}"
        if self.rng.random() < 0.15:
            question = f"{question} {self._frame(tails)}"
        return question

    def _frame(self, section: str) -> str:
        return expand(self.rng.choice(self.text.frames[section]), self.text.words, self.rng)

    def _any(self, name: str) -> str:
        return self.rng.choice(self.text.words[name])

    def _rewritten(self, question: str) -> str:
        """The same question begun in another way."""
        for start, others in self.rewrites:
            if question.startswith(start + " "):
                return self.rng.choice(others) + question[len(start) :]
        return question

    def _swapped(self, question: str) -> str:
        words = question.split()
        swapped = (
            self.rng.choice(self.synonyms[w]) if w in self.synonyms and self.rng.random() < 0.5 else w
            for w in words
        )
        return " ".join(swapped)

    def _terse(self, question: str) -> str:
        words = [w for w in question.split() if w.lower() not in _SMALL]
        return " ".join(words) if words else question

    def _typo(self, question: str) -> str:
        words = question.split()
        long = [i for i, word in enumerate(words) if len(word) > 3]
        if not long:
            return question
        at = self.rng.choice(long)
        words[at] = _slip(words[at], self.rng)
        return " ".join(words)

    def _filler(self, question: str) -> str:
        words = question.split()
        words.insert(self.rng.randint(0, len(words)), self._frame("filler"))
        return " ".join(words)


def _weight(intent: Intent) -> float:
    return (3 * len(intent.about + intent.howto) + len(intent.questions)) ** 0.5


def _synonyms(lines: list[str]) -> dict[str, list[str]]:
    groups = [[word.strip() for word in line.split(",")] for line in lines]
    return {word: group for group in groups for word in group}


def _rewrite(line: str) -> tuple[str, list[str]]:
    start, _, others = line.partition(" => ")
    return start, [other.strip() for other in others.split("|")]


def _slip(word: str, rng: random.Random) -> str:
    """One slip of the fingers: a letter lost, doubled, swapped with the next or wrong."""
    i = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:i] + word[i + 1 :]
    if kind == 1:
        return word[:i] + word[i] + word[i:]
    if kind == 2:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return word[:i] + rng.choice(string.ascii_lowercase) + word[i + 1 :]
