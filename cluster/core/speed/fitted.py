"""What the fit found.  `fitted(POINTS)` gives these again; a test holds them together."""

from collections.abc import Mapping

FITTED: Mapping[str, float] = {
    "bandwidth": 0.8715,
    "launch_s": 5.389e-06,
    "attention": 0.16,
    "tile": 20.31,
    "compute": 0.6,
    "bandwidth.apple": 0.9753,
    "launch_s.apple": 1.473,
    "attention.apple": 0.829,
    "tile.apple": 0.5286,
    "bandwidth.nvidia": 1.025,
    "launch_s.nvidia": 0.522,
    "attention.nvidia": 1.119,
    "tile.nvidia": 1.038,
    "bandwidth.amd": 1.064,
    "launch_s.amd": 0.8715,
    "attention.amd": 1.147,
    "tile.amd": 2.586,
    "compute.apple-m1": 1.0,
    "compute.apple-m3": 1.268,
    "compute.nvidia": 1.013,
    "compute.amd": 0.4328,
    "unpack": 29.78,
    "attention_prefill": 1.025,
    "traffic": 9.212,
    "launch_s.mlx": 0.9753,
    "launch_s.uncaptured": 1.409,
    "compute.mlx": 1.078,
}
