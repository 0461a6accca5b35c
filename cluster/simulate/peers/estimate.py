"""When a first token would come, as a router that knows its engines' speeds can tell."""

from itertools import takewhile

from cluster.simulate.engine import Engine
from cluster.simulate.job import Job


def ttft_s(engine: Engine, job: Job) -> float:
    """From now: the prefill that stands before the job, which may wait there already, and its own.

    Undisturbed, with what is resident now.  A prefill that runs counts whole: no engine says how far it is.
    (With its true remainder the mean turns of both policies that use this come out up to a tenth longer.)
    """
    begun_s = 0.0 if engine.prefilling is None else engine.prefilling.prefill_s
    ahead = takewhile(lambda each: each is not job, engine.waiting)
    return begun_s + sum(engine.prefill_s(each) for each in ahead) + engine.prefill_s(job)
