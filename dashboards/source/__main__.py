"""Writes dashboards/*.json: `python -m dashboards.source`."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.source import capacity, engines
from dashboards.source.page import Page

FOLDER = Path(__file__).parents[1]
PAGES = (capacity.PAGE, engines.PAGE)


def text(page: Page) -> str:
    """The dashboard, as its file holds it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(page.build().build()) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        (FOLDER / page.file_name).write_text(text(page))
