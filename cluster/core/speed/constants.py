"""What is fitted: a few numbers for each family of machines, none for a machine or a model.

A constant of all is multiplied by that of a vendor or a family, which is held near 1 (`stiffness`): so a
family with few points still has what the others teach.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.core.layout import EngineKind
from cluster.core.speed.machines import Family, Vendor

Constants = Mapping[str, float]

MOST_OF_BANDWIDTH = 0.97


@dataclass(frozen=True, slots=True)
class Prior:
    """Where the fit begins.  `stiffness`: the price of a deviation, per square of its logarithm."""

    value: float
    stiffness: float
    least: float = 0.0
    most: float = float("inf")


_LOOSE, _HELD, _STIFF = 0.03, 0.3, 3.0


def _priors() -> Iterator[tuple[str, Prior]]:
    yield "bandwidth", Prior(0.85, _LOOSE, 0.6, 0.95)
    yield "launch_s", Prior(5e-6, _LOOSE)
    yield "attention", Prior(0.12, _LOOSE)
    yield "tile", Prior(4.0, _LOOSE, 0.5, 100.0)
    yield "compute", Prior(0.6, _LOOSE)
    for vendor in Vendor:
        yield f"bandwidth.{vendor}", Prior(1.0, 20 * _HELD)
        yield f"launch_s.{vendor}", Prior(1.0, _HELD)
        yield f"attention.{vendor}", Prior(1.0, _HELD)
        yield f"tile.{vendor}", Prior(1.0, _HELD / 2)
    for family in Family:
        yield f"compute.{family}", Prior(1.0, 2 * _HELD)
    yield "unpack", Prior(25.0, _LOOSE, 4.0, 60.0)
    yield "attention_prefill", Prior(0.85, _HELD)
    yield "traffic", Prior(15.0, _LOOSE)
    yield "launch_s.mlx", Prior(1.0, 0.5)
    yield "launch_s.uncaptured", Prior(1.5, _HELD)
    yield "compute.mlx", Prior(1.0, _STIFF)


PRIORS: Mapping[str, Prior] = dict(_priors())


def bandwidth_share(constants: Constants, vendor: Vendor) -> float:
    """Of the published bandwidth, what reading weights and KV reaches."""
    return min(constants["bandwidth"] * constants[f"bandwidth.{vendor}"], MOST_OF_BANDWIDTH)


def launch_s(constants: Constants, vendor: Vendor, engine: EngineKind, captured: bool) -> float:
    """Seconds to begin an operation.  `captured`: a step's operations are begun together (CUDA graphs)."""
    seconds = constants["launch_s"] * constants[f"launch_s.{vendor}"]
    if engine is EngineKind.MLX:
        seconds *= constants["launch_s.mlx"]
    if vendor is Vendor.NVIDIA and not captured:
        seconds *= constants["launch_s.uncaptured"]
    return seconds


def compute_share(constants: Constants, family: Family, engine: EngineKind) -> float:
    """Of a machine's basis, what a prefill's matrices reach."""
    share = constants["compute"] * constants[f"compute.{family}"]
    return share * constants["compute.mlx"] if engine is EngineKind.MLX else share


def attention_share(constants: Constants, vendor: Vendor) -> float:
    """Of the peak, what attention of single tokens reaches."""
    return constants["attention"] * constants[f"attention.{vendor}"]


def tile_tokens(constants: Constants, vendor: Vendor) -> float:
    """How many tokens an expert must get for half of the speed of a dense matrix."""
    return constants["tile"] * constants[f"tile.{vendor}"]
