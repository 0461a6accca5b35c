"""Whether an idle session comes back."""

THINK_SCALE_S = 6.0
THINK_SHAPE = 0.72
"""A Lomax distribution through the think times measured on 396 public agent sessions: half return within
10 s, a tenth takes longer than 160 s, a hundredth longer than 2,900 s."""


def returns_within(horizon_s: float, idle_s: float) -> float:
    """The chance that a session, idle for `idle_s`, returns within the next `horizon_s`."""
    waited_s = idle_s + THINK_SCALE_S
    return 1 - (waited_s / (waited_s + horizon_s)) ** THINK_SHAPE
