"""What can be varied."""

from typing import ClassVar

from bench.harness.options import BenchSettings


class FidelitySettings(BenchSettings):
    """`data`: JSON lines of points to judge by, fields as in `cluster.core.speed.points.Point`; None: ours.
    Fitted is to ours alone, those of the judged chip left out.

    `chips`: leave out these alone, in turn; none: each.
    """

    data_help: ClassVar[str | None] = "JSON lines of points to judge by instead of ours"

    chips: tuple[str, ...] = ()
