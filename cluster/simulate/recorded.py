"""The turns of a router's journal as a trace: when each came, how long its prompt and its answer were."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.core.errors import InvalidField
from cluster.core.events import Event, TurnArrived, TurnFinished
from cluster.core.facts import Feature
from cluster.core.ids import TurnId
from cluster.simulate.lab import Lab, Model
from cluster.simulate.trace import Turn


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session as it came: `arrived_s`, of each turn, counts from the journal's first event."""

    name: str
    model: Model
    turns: Sequence[Turn]
    arrived_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class Recording:
    """`num_left_out`: turns without an end in the journal, of embeddings, or too long for the lab."""

    sessions: Sequence[Recorded]
    num_left_out: int

    @property
    def num_turns(self) -> int:
        return sum(len(each.turns) for each in self.sessions)


Told = tuple[float, TurnArrived, TurnFinished]


def recording(lab: Lab, journal: Iterable[tuple[float, Event]], where: str) -> Recording:
    """What of a journal (`where`) the lab could answer.

    Raises InvalidField where that is nothing, or a model of it is not the lab's.
    """
    arrived, finished = _read(journal)
    if not arrived:
        raise InvalidField(where, "no turn came while it was written.", "Name that of a pool that worked.")
    models = {model.name: model for model in lab.models}
    unknown = sorted({event.model for _, event in arrived.values()} - models.keys())
    if unknown:
        problem = f"its turns are for {unknown[0]}, which is no model of the lab."
        raise InvalidField(where, problem, "Describe it under `models` of a lab, and name that with --lab.")
    sessions: dict[str, list[Told]] = {}
    for turn, (at_s, event) in sorted(arrived.items(), key=lambda each: each[1][0]):
        if turn in finished and _fits(lab, models[event.model], finished[turn]):
            sessions.setdefault(f"{event.model} {event.session}", []).append((at_s, event, finished[turn]))
    if not sessions:
        raise InvalidField(where, "no turn of it was answered and fits the lab.", "Describe a larger lab.")
    found = [_session(name, models, told) for name, told in sessions.items()]
    return Recording(found, len(arrived) - sum(map(len, sessions.values())))


def _read(
    journal: Iterable[tuple[float, Event]],
) -> tuple[Mapping[TurnId, tuple[float, TurnArrived]], Mapping[TurnId, TurnFinished]]:
    """A turn may be told of again; the first time counts."""
    arrived: dict[TurnId, tuple[float, TurnArrived]] = {}
    finished: dict[TurnId, TurnFinished] = {}
    began_s: float | None = None
    for now, event in journal:
        began_s = now if began_s is None else began_s
        match event:
            case TurnArrived(turn=turn, waited_s=waited_s):
                arrived.setdefault(turn, (max(0.0, now - waited_s - began_s), event))
            case TurnFinished(turn=turn) if Feature.EMBEDDINGS not in _needs(arrived, turn):
                finished[turn] = event
            case _:
                pass
    return arrived, finished


def _needs(arrived: Mapping[TurnId, tuple[float, TurnArrived]], turn: TurnId) -> frozenset[Feature]:
    return arrived[turn][1].needs if turn in arrived else frozenset()


def _fits(lab: Lab, model: Model, turn: TurnFinished) -> bool:
    tokens = turn.prompt_tokens + max(turn.completion_tokens, 1)
    return (
        turn.prompt_tokens > 0
        and tokens <= model.window_tokens
        and any(node.holds(model, tokens) for node in lab.nodes)
    )


def _session(name: str, models: Mapping[str, Model], told: Sequence[Told]) -> Recorded:
    turns: list[Turn] = []
    for _, _, end in told:
        kept_tokens = _kept_tokens(turns[-1], end) if turns else 0
        turns.append(Turn(0.0, end.prompt_tokens, max(end.completion_tokens, 1), kept_tokens))
    return Recorded(name, models[told[0][1].model], turns, [at_s for at_s, _, _ in told])


def _kept_tokens(before: Turn, turn: TurnFinished) -> int:
    """A journal has no word of a prompt: one that grew is taken to begin as the one before, and of a shorter
    one as much is, as the engine found."""
    if turn.prompt_tokens < before.input_tokens:
        return min(turn.cached_tokens, turn.prompt_tokens)
    return min(before.input_tokens + before.output_tokens, turn.prompt_tokens)
