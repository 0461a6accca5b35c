"""Asks the guide and counts what it gets right: `python -m examples.guide_model.evaluate`.

Three rates: the questions of its text, paraphrases kept out of training, and questions about
anything else. An answer is right when it is the intent's answer or contains all its keys.
"""

from __future__ import annotations

import argparse
import json
import random
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from examples.guide_model.text import OFF_TOPIC, Intent, Text, expand, load, read_questions

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "cluster" / "models" / "guide.gguf"
HELD_OUT = sorted((HERE / "heldout").glob("*.txt"))
MAX_TOKENS = 120

Ask = Callable[[str], str]
Message = dict[str, object]  # role and content, as in the chat API


@dataclass(frozen=True)
class Miss:
    """A question whose answer was wrong."""

    intent: str
    question: str
    answer: str


@dataclass(frozen=True)
class Result:
    """How many questions of one kind were asked and which answers were wrong."""

    kind: str
    num_asked: int
    misses: list[Miss]

    @property
    def rate(self) -> float:
        return 1 - len(self.misses) / self.num_asked if self.num_asked else 1.0


def is_right(answer: str, intent: Intent) -> bool:
    """Equal but for spacing and case, or every key is there."""
    plain = " ".join(answer.lower().split())
    return plain == " ".join(intent.answer.lower().split()) or (
        bool(intent.keys) and all(key in plain for key in intent.keys)
    )


def own_questions(text: Text, seed: int = 1) -> Iterator[tuple[str, str]]:
    """One reading of every line about Hearth: (intent, question)."""
    rng = random.Random(seed)
    for intent in text.intents.values():
        if intent.name == OFF_TOPIC:
            continue
        for section, lines in (("about", intent.about), ("howto", intent.howto)):
            for line in lines:
                frame = rng.choice(text.frames[section])
                yield intent.name, expand(frame.replace("%", line), text.words, rng)
        for line in intent.questions:
            yield intent.name, expand(line, text.words, rng)


def judge(kind: str, pairs: list[tuple[str, str]], text: Text, ask: Ask) -> Result:
    """Asks every (intent, question) of the list; KeyError if an intent is not in the text."""
    misses = []
    for name, question in pairs:
        answer = ask(question)
        if not is_right(answer, text.intents[name]):
            misses.append(Miss(name, question, answer))
    return Result(kind, len(pairs), misses)


def embedded(model: Path, temperature: float = 0.0) -> Ask:
    """Answers from the GGUF itself, run by llama.cpp in this process on one thread."""
    talk = embedded_chat(model, temperature)
    return lambda question: talk([{"role": "user", "content": question}])


def embedded_chat(model: Path, temperature: float = 0.0) -> Callable[[list[Message]], str]:
    """As `embedded`, for a whole list of messages."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.cache_ram_mib, params.verbosity = 2048, 1, 0, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)

    def talk(messages: list[Message]) -> str:
        reply = server.handle_chat_completions(_body(messages, temperature))
        return _content(json.loads(reply) if isinstance(reply, str) else reply)

    return talk


def remote(base_url: str, model: str, key: str, temperature: float = 0.0) -> Ask:
    """Answers from an OpenAI-compatible server, such as http://127.0.0.1:8420/v1."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def ask(question: str) -> str:
        messages: list[Message] = [{"role": "user", "content": question}]
        body = {**_body(messages, temperature), "model": model}
        url = f"{base_url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return _content(json.load(response))

    return ask


def _body(messages: list[Message], temperature: float) -> dict[str, object]:
    return {"messages": messages, "max_tokens": MAX_TOKENS, "temperature": temperature}


def _content(reply: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    if "choices" not in reply:
        raise RuntimeError(f"the server refused the question: {reply}")
    return reply["choices"][0]["message"]["content"]


def evaluate(text: Text, ask: Ask, files: list[Path], every: int = 1) -> list[Result]:
    """Judges the text's own questions (one in `every`, none if 0), then each file by kind."""
    results = []
    if every:
        results.append(judge("text", list(own_questions(text))[::every], text, ask))
    held_out = [pair for path in files for pair in read_questions(path)]
    on_topic = [pair for pair in held_out if pair[0] != OFF_TOPIC]
    off_topic = [pair for pair in held_out if pair[0] == OFF_TOPIC]
    results += [judge("paraphrases", on_topic, text, ask), judge("off-topic", off_topic, text, ask)]
    return [result for result in results if result.num_asked]


def report(results: list[Result], show: bool) -> Iterator[str]:
    """Lines for people: one per kind, then the misses."""
    yield f"{'questions':<12}{'asked':>7}{'right':>9}"
    for result in results:
        yield f"{result.kind:<12}{result.num_asked:>7}{result.rate:>9.1%}"
    for miss in (m for result in results for m in result.misses if show):
        yield f"- [{miss.intent}] {miss.question!r} -> {miss.answer[:90]!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=SHIPPED, help="GGUF to run in this process")
    parser.add_argument("--base-url", help="ask an OpenAI-compatible server instead")
    parser.add_argument("--served-model", default="guide", help="model id at --base-url")
    parser.add_argument("--key", default="any", help="API key at --base-url")
    parser.add_argument("--questions", type=Path, action="append", help="question files of yours")
    parser.add_argument("--every", type=int, default=1, help="of the text, one in N (0: none)")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--json", action="store_true", help="print rates and misses as JSON")
    parser.add_argument("--no-misses", action="store_true", help="print the table only")
    chosen = parser.parse_args()
    if chosen.base_url:
        ask = remote(chosen.base_url, chosen.served_model, chosen.key, chosen.temperature)
    else:
        ask = embedded(chosen.model, chosen.temperature)
    results = evaluate(load(), ask, chosen.questions or HELD_OUT, chosen.every)
    if chosen.json:
        print(json.dumps({r.kind: {"rate": r.rate, **asdict(r)} for r in results}, indent=2))
    else:
        print("\n".join(report(results, not chosen.no_misses)))


if __name__ == "__main__":
    main()
