"""A dashboard: rows of panels, and how they become Grafana's."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from dashboards.source.panel import SOURCE, Panel


@dataclass(frozen=True)
class Page:
    """`name` makes the title, the id and the file's name; `rows`: panels by the title of their row."""

    name: str
    rows: Mapping[str, tuple[Panel, ...]]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows.values() for panel in row)

    @property
    def file_name(self) -> str:
        return f"{self.name.lower()}.json"

    def build(self) -> dashboard.Dashboard:
        """The dashboard in Grafana's terms."""
        page = (
            dashboard.Dashboard(f"Hearth: {self.name}")
            .uid(f"hearth-{self.name.lower()}")
            .tags(["hearth"])
            .refresh("10s")
            .time("now-30m", "now")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
            .with_variable(_model())
        )
        number = count(1)
        for title, panels in self.rows.items():
            page = page.with_row(dashboard.Row(title).id(next(number)))
            for panel in panels:
                page = page.with_panel(panel.build(next(number)))
        return page


def _model() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("model")
        .label("Model")
        .datasource(SOURCE)
        .query("label_values(hearth_model_state, model)")
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )
