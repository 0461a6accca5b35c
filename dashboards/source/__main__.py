"""Writes dashboards/*.json: `python -m dashboards.source`."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.source import capacity

FOLDER = Path(__file__).parents[1]


def text() -> str:
    """The Capacity dashboard, as the file holds it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(capacity.build().build()) + "\n"


if __name__ == "__main__":
    (FOLDER / "capacity.json").write_text(text())
