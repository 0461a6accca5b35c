"""What a panel shows, and how it becomes Grafana's."""

from dataclasses import dataclass
from enum import Enum
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS = 24


class Look(Enum):
    """`NUMBER`: the newest value, large.  `STACK`: areas that add up."""

    NUMBER = "number"
    LINES = "lines"
    STACK = "stack"


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`unit` is Grafana's name of it; `most` fixes the top of the axis; sizes are grid cells, 24 a row."""

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    look: Look = Look.LINES
    most: float | None = None

    @property
    def width(self) -> int:
        return COLUMNS // 6 if self.look is Look.NUMBER else COLUMNS // 2

    @property
    def height(self) -> int:
        return 4 if self.look is Look.NUMBER else 8

    def build(self, number: int) -> stat.Panel | timeseries.Panel:
        """The panel in Grafana's terms, as number `number` of its dashboard."""
        panel = self._number() if self.look is Look.NUMBER else self._graph()
        panel = panel.title(self.title).description(self.says).datasource(SOURCE).unit(self.unit).min(0)
        for letter, query in zip(ascii_uppercase, self.queries, strict=False):
            panel = panel.with_target(_target(query, letter))
        if self.most is not None:
            panel = panel.max(self.most)
        return panel.span(self.width).height(self.height).id(number)

    def _number(self) -> stat.Panel:
        return (
            stat.Panel()
            .graph_mode(models.BigValueGraphMode.AREA)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )

    def _graph(self) -> timeseries.Panel:
        legend = common.VizLegendOptions().display_mode(models.LegendDisplayMode.LIST)
        tooltip = common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI)
        panel = timeseries.Panel().legend(legend.placement(models.LegendPlacement.BOTTOM)).tooltip(tooltip)
        if self.look is Look.LINES:
            return panel.fill_opacity(8)
        return panel.fill_opacity(45).stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).datasource(SOURCE)
    return target.expr(query.expr).legend_format(query.legend)
