"""Trains the guide: `python -m examples.guide_model.train` (`--resume` goes on where it stopped).

Most examples show only the first tokens of the answer, where the intent is decided; the rest
of an answer follows from its beginning and needs little practice. Of the question a tenth of the
tokens is learned, so that the network knows the words.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from examples.guide_model.augment import Asker
from examples.guide_model.export import write
from examples.guide_model.model import Guide, Shape
from examples.guide_model.text import OFF_TOPIC, held_out, load
from examples.guide_model.tokens import STOP, learn, prompt

OPENING_TOKENS = 8
WHOLE_SHARE = 0.2
QUESTION_SHARE = 0.1
IGNORED = 0.0
BATCH_TOKENS = 4_000
USUAL_WEIGHT = 850.0  # a batch's sum of weights; a fixed one, so that a batch counts by its size
SAVE_EVERY_S = 120


Row = tuple[list[int], int]


class Batches:
    """Draws padded batches: ids, targets and the weight of each target, all [batch, length]."""

    def __init__(self, asker: Asker, tokenizer: Tokenizer, size: int) -> None:
        self.asker, self.tokenizer, self.size = asker, tokenizer, size
        self.answers: dict[str, list[int]] = {}
        self.rng = random.Random(asker.rng.random())
        self.ready: list[list[Row]] = []

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self.ready:
            self.ready = self._sorted_by_length()
        rows = self.ready.pop()
        length = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows])
        spans = torch.tensor([(asked, len(ids)) for ids, asked in rows])
        at = torch.arange(1, length)
        read = torch.rand(len(rows), length - 1) < QUESTION_SHARE
        weight = torch.where(at < spans[:, :1], read.float(), 1.0)
        weight = torch.where(at < spans[:, 1:], weight, IGNORED)
        return ids[:, :-1], ids[:, 1:], weight

    def _sorted_by_length(self) -> list[list[Row]]:
        """Rows of like length share a batch, so little of it is padding."""
        rows = [self._row() for _ in range(16 * self.size)]
        rows.sort(key=lambda row: len(row[0]))
        batches: list[list[Row]] = [[]]
        for row in rows:
            if len(batches[-1]) == self.size or len(batches[-1]) * len(row[0]) > BATCH_TOKENS:
                batches.append([])
            batches[-1].append(row)
        self.rng.shuffle(batches)
        return batches

    def _row(self) -> Row:
        question, intent = self.asker.draw()
        share = WHOLE_SHARE / 10 if intent.name == OFF_TOPIC else WHOLE_SHARE
        whole = self.rng.random() < share
        asked = self.tokenizer.encode(prompt(question)).ids
        if intent.name not in self.answers:
            self.answers[intent.name] = self.tokenizer.encode(intent.answer + STOP).ids
        answer = self.answers[intent.name]
        return asked + (answer if whole else answer[:OPENING_TOKENS]), len(asked)


def rate(progress: float, step: int, peak: float) -> float:
    """Warm-up over 300 steps, a cosine over `progress` 0 to 1, a fiftieth of the peak at its end."""
    warm = min(1.0, (step + 1) / 300)
    return peak * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)


def step_loss(model: Guide, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    ids, targets, weight = batch
    kept = weight > 0
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids, kept)
    losses = functional.cross_entropy(logits.float(), targets[kept], reduction="none")
    return (losses * weight[kept]).sum() / USUAL_WEIGHT


def follow(average: Guide, model: Guide, step: int) -> None:
    """Moves the running average of the weights, which is what is shipped."""
    keep = min(0.999, (step + 1) / (step + 10))
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)


class Training:
    """Model, average, optimiser and step; saved and restored as one."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.text = load()
        self.checkpoint = options.work / "checkpoint.pt"
        self.tokenizer_file = options.work / "tokenizer.json"
        self.step, self.progress = 0, 0.0
        options.work.mkdir(parents=True, exist_ok=True)
        resumed = torch.load(self.checkpoint, weights_only=True) if options.resume else None
        if resumed is None:
            learn(self.text, options.vocab, options.seed).save(str(self.tokenizer_file))
        self.tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        torch.manual_seed(options.seed)
        shape = Shape(
            self.tokenizer.get_vocab_size(),
            options.width,
            options.layers,
            options.width // 32,
            1,
            options.hidden,
        )
        self.model = Guide(shape, options.dropout)
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.05
        )
        if resumed is not None:
            self.step, self.progress = resumed["step"], resumed["progress"]
            self.model.load_state_dict(resumed["model"])
            self.average.load_state_dict(resumed["average"])
            self.optimiser.load_state_dict(resumed["optimiser"])
        asker = Asker(self.text, options.seed + self.step, held_out())
        self.batches = Batches(asker, self.tokenizer, options.batch)

    def save(self) -> None:
        state = {
            "step": self.step,
            "progress": self.progress,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)
        write(self.options.out, self.average, self.tokenizer)

    def run(self) -> None:
        options, began = self.options, time.monotonic()
        start, first, saved, losses = self.progress, self.step, began, 0.0
        while self.progress < 1:
            losses += self._step()
            now = time.monotonic()
            done = (self.step - first) / (options.steps - first)
            done = max(done, (now - began) / options.seconds)
            self.progress = start + (1 - start) * done
            if self.step % 100 == 0:
                print(f"step {self.step} loss {losses / 100:.4f} {self.progress:.1%}", flush=True)
                losses = 0.0
            if now - saved > SAVE_EVERY_S:
                self.save()
                saved = now
        self.save()

    def _step(self) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.progress, self.step, self.options.rate)
        loss = step_loss(self.model, self.batches.draw())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        follow(self.average, self.model, self.step)
        self.step += 1
        return loss.item()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("cluster/models/guide.gguf"), help="GGUF to write")
    parser.add_argument("--work", type=Path, default=Path("build/guide"), help="checkpoint folder")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="be done by then")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--vocab", type=int, default=2560)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=384)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse()
    torch.set_num_threads(chosen.threads)
    training = Training(chosen)
    if training.progress >= 1:
        print(f"finished already; delete {chosen.work} to begin anew")
    training.run()
