"""Fitting the constants to published points: coordinate descent over logarithms, the same each time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log

from cluster.core.memory.quantisation import quantisation_named, quantisation_of_config
from cluster.core.speed.constants import PRIORS, Constants
from cluster.core.speed.known_models import known_model
from cluster.core.speed.machines import known_link, known_machine
from cluster.core.speed.model import Rig, decode_step, prefill
from cluster.core.speed.points import Point
from cluster.core.speed.work import Work, work_of

SMALL = 0.1
"""Below this relative error a deviation counts by its square: two tables of one machine differ as much."""

FIRST_STEP, LAST_STEP = 0.4, 0.01
"""Of a logarithm."""


def predicted(point: Point, constants: Constants) -> float:
    """Tokens a second.  Raises InvalidField where the point names what is not known."""
    return _speed(_case(point), constants)


@dataclass(frozen=True, slots=True)
class _Case:
    point: Point
    work: Work
    rig: Rig


def _case(point: Point) -> _Case:
    link = known_link(point.link) if point.link else None
    machine = known_machine(point.machine)
    rig = Rig(machine, point.engine, point.num_machines, point.split, link, point.captured)
    return _Case(point, _work(point.model, point.quantisation), rig)


@cache
def _work(model: str, quantisation: str) -> Work:
    config = known_model(model)
    packed = quantisation_named(quantisation) if quantisation else quantisation_of_config(config)
    return work_of(config, packed)


def _speed(case: _Case, constants: Constants) -> float:
    point = case.point
    if not point.num_tokens:
        depths = (point.depth,) * point.num_sequences
        return point.num_sequences / decode_step(case.work, case.rig, constants, depths).seconds
    spent = prefill(case.work, case.rig, constants, point.depth, point.num_tokens, point.chunk_tokens)
    return point.num_tokens / spent.seconds


def fitted(points: Iterable[Point]) -> Constants:
    """What explains the points best; those in doubt are left out."""
    sure = [_case(point) for point in points if not point.doubt]
    names = list(PRIORS)
    at = [log(PRIORS[name].value) for name in names]
    best, step = _cost(sure, names, at), FIRST_STEP
    while step > LAST_STEP:
        before = best
        for number, name in enumerate(names):
            prior = PRIORS[name]
            for moved in (at[number] + step, at[number] - step):
                if prior.least <= exp(moved) <= prior.most:
                    tried = [*at[:number], moved, *at[number + 1 :]]
                    cost = _cost(sure, names, tried)
                    if cost < best - 1e-9:
                        best, at = cost, tried
                        break
        if best == before:
            step /= 2
    return {name: exp(value) for name, value in zip(names, at, strict=True)}


def _cost(cases: Sequence[_Case], names: Sequence[str], at: Sequence[float]) -> float:
    constants = {name: exp(value) for name, value in zip(names, at, strict=True)}
    cost = sum(_penalty(log(_speed(case, constants) / case.point.tokens_s)) for case in cases)
    for name, value in zip(names, at, strict=True):
        cost += PRIORS[name].stiffness * (value - log(PRIORS[name].value)) ** 2
    return cost


def _penalty(error: float) -> float:
    """Its size where it is large, so that one odd point does not bend all."""
    return abs(error) if abs(error) > SMALL else error * error / (2 * SMALL) + SMALL / 2
