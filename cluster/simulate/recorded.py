"""The turns of a router's journal as a trace: when each came, how long its prompt and its answer were."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.core.errors import InvalidField
from cluster.core.events import Event, FirstToken, TurnArrived, TurnFinished
from cluster.core.facts import Feature
from cluster.core.ids import TurnId
from cluster.simulate.figures import Figures, figures_of
from cluster.simulate.job import Job
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
    """`num_left_out`: turns without an end in the journal, of embeddings, or too long for the lab.

    `figures`: of the turns as they really went.  Their longest wait has its prefill in it: a journal does not
    tell them apart.
    """

    sessions: Sequence[Recorded]
    figures: Figures
    num_left_out: int

    @property
    def num_turns(self) -> int:
        return sum(len(each.turns) for each in self.sessions)


@dataclass(slots=True)
class _Told:
    """One turn; times count from the journal's first event."""

    arrived: TurnArrived
    arrived_s: float
    first_token_s: float | None = None
    finished: TurnFinished | None = None
    finished_s: float = 0.0


def recording(lab: Lab, journal: Iterable[tuple[float, Event]], where: str) -> Recording:
    """What of a journal (`where`) the lab could answer.

    Raises InvalidField where that is nothing, or a model of it is not the lab's.
    """
    turns = _read(journal)
    if not turns:
        raise InvalidField(where, "no turn came while it was written.", "Name that of a pool that worked.")
    models = {model.name: model for model in lab.models}
    unknown = sorted({told.arrived.model for told in turns} - models.keys())
    if unknown:
        problem = f"its turns are for {unknown[0]}, which is no model of the lab."
        raise InvalidField(where, problem, "Describe it under `models` of a lab, and name that with --lab.")
    sessions: dict[str, list[tuple[_Told, TurnFinished]]] = {}
    for told in sorted(turns, key=lambda each: each.arrived_s):
        if told.finished is not None and _fits(lab, models[told.arrived.model], told.finished):
            name = f"{told.arrived.model} {told.arrived.session}"
            sessions.setdefault(name, []).append((told, told.finished))
    if not sessions:
        raise InvalidField(where, "no turn of it was answered and fits the lab.", "Describe a larger lab.")
    found = [_session(name, models, told) for name, told in sessions.items()]
    went = [_went(each, *told) for each in found for told in sessions[each.name]]
    return Recording(found, figures_of(went), len(turns) - len(went))


def _read(journal: Iterable[tuple[float, Event]]) -> Sequence[_Told]:
    """A turn may be told of again; the first time counts."""
    turns: dict[TurnId, _Told] = {}
    began_s: float | None = None
    for now, event in journal:
        began_s = now if began_s is None else began_s
        at_s = now - began_s
        match event:
            case TurnArrived(turn=turn, waited_s=waited_s):
                turns.setdefault(turn, _Told(event, max(0.0, at_s - waited_s)))
            case FirstToken(turn=turn) if turn in turns:
                turns[turn].first_token_s = at_s
            case TurnFinished(turn=turn) if turn in turns:
                if Feature.EMBEDDINGS not in turns[turn].arrived.needs:
                    turns[turn].finished, turns[turn].finished_s = event, at_s
            case _:
                pass
    return list(turns.values())


def _went(session: Recorded, told: _Told, end: TurnFinished) -> Job:
    first_s = told.finished_s if told.first_token_s is None else told.first_token_s
    return Job(
        number=0,
        session=session.name,
        model=session.model,
        input_tokens=end.prompt_tokens,
        output_tokens=end.completion_tokens,
        kept_tokens=end.cached_tokens,
        arrived_s=told.arrived_s,
        hit_tokens=end.cached_tokens,
        prefill_s=0.0,
        first_token_s=first_s,
        finished_s=told.finished_s,
    )


def _fits(lab: Lab, model: Model, turn: TurnFinished) -> bool:
    tokens = turn.prompt_tokens + max(turn.completion_tokens, 1)
    return (
        turn.prompt_tokens > 0
        and tokens <= model.window_tokens
        and any(node.holds(model, tokens) for node in lab.nodes)
    )


def _session(name: str, models: Mapping[str, Model], told: Sequence[tuple[_Told, TurnFinished]]) -> Recorded:
    turns: list[Turn] = []
    for _, end in told:
        kept_tokens = _kept_tokens(turns[-1], end) if turns else 0
        turns.append(Turn(0.0, end.prompt_tokens, max(end.completion_tokens, 1), kept_tokens))
    return Recorded(name, models[told[0][0].arrived.model], turns, [each.arrived_s for each, _ in told])


def _kept_tokens(before: Turn, turn: TurnFinished) -> int:
    """A journal has no word of a prompt: one that grew is taken to begin as the one before, and of a shorter
    one as much is, as the engine found."""
    if turn.prompt_tokens < before.input_tokens:
        return min(turn.cached_tokens, turn.prompt_tokens)
    return min(before.input_tokens + before.output_tokens, turn.prompt_tokens)
