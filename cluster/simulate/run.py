"""What a comparison is made of: sessions that fit the lab, and a policy by its name."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from random import Random

from cluster.core.errors import InvalidField
from cluster.simulate.engine import DEVICES
from cluster.simulate.figures import Figures, figures_of
from cluster.simulate.lab import Lab
from cluster.simulate.policies import POLICIES
from cluster.simulate.synthetic import synthetic_sessions
from cluster.simulate.trace import Session
from cluster.simulate.traces import read_agent_sessions
from cluster.simulate.world import Load, World

LEAST_TURNS = 3
NUM_MADE = 135
"""As many sessions as the reference simulation uses."""

MOST_TRIED = 3_000
"""So many are made to find them: one in eleven fits 32,768 tokens, one in two hundred 16,000."""

MADE_FROM = 396
"""Sessions are made from this number's seed, the same ones for all seeds of a run: these shuffle them."""


def sessions_for(lab: Lab, lines: Iterable[str] | None, where: str) -> list[Session]:
    """Those of a trace (`lines`, named `where`), or made ones, that every model of the lab could serve.

    Raises InvalidField where the trace is none, or nothing of it fits.
    """
    if lines is None:
        tried = islice(synthetic_sessions(MADE_FROM), MOST_TRIED)
        found = list(islice((each for each in tried if _fits(lab, each)), NUM_MADE))
    else:
        found = [each for each in read_agent_sessions(lines, where) if _fits(lab, each)]
    if not found:
        raise InvalidField(where, "no session of it fits the lab.", "Give the lab a larger window or node.")
    return found


def run_policy(
    lab: Lab, device: str, policy: str, load: Load, told: Callable[[int], None] = lambda _: None
) -> Figures:
    """`device`: a name of `DEVICES`; `policy`: of `POLICIES`, its chance from the load's seed."""
    return figures_of(World(lab, DEVICES[device], POLICIES[policy](Random(load.seed)), load, told).run())


def check_names(field: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raises InvalidField where one of the names is not known."""
    for name in names:
        if name not in known:
            raise InvalidField(field, f"{name!r} is not known.", f"Known: {', '.join(known)}.")


def _fits(lab: Lab, session: Session) -> bool:
    """Sessions of two turns or fewer tell nothing about where to stay."""
    if len(session.turns) < LEAST_TURNS:
        return False
    most = max(turn.input_tokens + turn.output_tokens for turn in session.turns)
    return all(
        most <= model.window_tokens and any(node.holds(model, most) for node in lab.nodes)
        for model in lab.models
    )
