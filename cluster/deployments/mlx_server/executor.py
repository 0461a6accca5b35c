"""What every rank does alike: sequences in mlx-lm's batch generator, and the KV of those that ended.

Operations are lists, made by rank 0's scheduler and applied in its order:

    ["admit", number, ids, num_kept, entry, takes, max_tokens, ends]    a new sequence
    ["cancel", number]                                                  its KV becomes the entry `number`
    ["drop", entry]                                                     forgets the KV of an ended sequence
    ["chunk", tokens]                                                   prompt tokens of one step, from now on

A sequence that ends by itself becomes the entry of its number as well.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, StopSequences
from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

Choose = Callable[[mx.array], mx.array]
"""Log probabilities (sequences, vocabulary) to token ids (sequences,)."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """`processed` of the `total` prompt tokens that had to be computed are done."""

    number: int
    processed: int
    total: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """One more token.  `reason` is `stop` or `length` where it is the last one."""

    number: int
    token: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """The KV of a sequence that has ended, for `ids`."""

    cache: list[Any]
    ids: list[int]

    @property
    def can_be_trimmed(self) -> bool:
        return bool(can_trim_prompt_cache(self.cache))

    @property
    def num_bytes(self) -> int:
        return sum(layer.nbytes for layer in self.cache)


class Executor:
    """One rank's part of every sequence.  `ends`: the ids that end an answer."""

    def __init__(self, model: Any, ends: Sequence[int], choose: Choose, num_slots: int, chunk: int) -> None:  # noqa: ANN401
        self._generator = BatchGenerator(
            model,
            stop_tokens=[[end] for end in ends],
            sampler=choose,
            completion_batch_size=num_slots,
            # One prompt after another: several would be padded to the longest of them.
            prefill_batch_size=1,
            prefill_step_size=chunk,
        )
        self._numbers: dict[int, int] = {}
        self.entries: dict[int, Entry] = {}

    def apply(self, operations: Sequence[Sequence[Any]], rows: dict[int, Any]) -> None:
        """`rows`: by number, what rank 0 does with a new sequence's logits; empty on the others."""
        with mx.stream(self._generator.stream):
            for name, *arguments in operations:
                match name:
                    case "admit":
                        self._admit(*arguments, row=rows.get(arguments[0]))
                    case "cancel":
                        self._cancel(*arguments)
                    case "drop":
                        self.entries.pop(arguments[0])
                    case "chunk":
                        self._generator.prefill_step_size = arguments[0]
                    case _:
                        raise ValueError(f"no such operation: {name}")

    def _admit(
        self,
        number: int,
        ids: list[int],
        num_kept: int,
        entry: int | None,
        takes: bool,
        max_tokens: int,
        ends: bool,
        row: Any,  # noqa: ANN401
    ) -> None:
        cache: Any = None if entry is None else self._prefix(entry, num_kept, takes=takes)
        (uid,) = self._generator.insert(
            [ids[num_kept:]],
            max_tokens=[max_tokens],
            caches=[cache],
            all_tokens=[ids[:num_kept]],
            logits_processors=[[row] if row is not None else []],
            stop_sequences=None if ends else [StopSequences()],
        )
        self._numbers[uid] = number

    def _prefix(self, number: int, num_kept: int, *, takes: bool) -> list[Any]:
        entry = self.entries.pop(number) if takes else self.entries[number]
        cache = entry.cache if takes else copy.deepcopy(entry.cache)
        if num_kept < len(entry.ids):
            trim_prompt_cache(cache, len(entry.ids) - num_kept)
        return cache

    def _cancel(self, number: int) -> None:
        uid = next(uid for uid, known in self._numbers.items() if known == number)
        cache, ids = self._generator.remove([uid], return_prompt_caches=True)[uid]
        self._keep(uid, cache, ids)

    def _keep(self, uid: int, cache: list[Any], ids: list[int]) -> None:
        mx.eval([layer.state for layer in cache if not layer.empty()])
        self.entries[self._numbers.pop(uid)] = Entry(cache, list(ids))

    def step(self) -> tuple[list[Prefilled], list[Chosen]]:
        """One more token of each running sequence, and the next chunk of a prompt."""
        prompts, answers = self._generator.next()
        prefilled = [Prefilled(self._numbers[one.uid], *one.progress) for one in prompts]
        chosen = [Chosen(self._numbers[one.uid], one.token, one.finish_reason) for one in answers]
        for one in answers:
            if one.finish_reason is not None:
                self._keep(one.uid, one.prompt_cache, one.all_tokens)
        return prefilled, chosen
