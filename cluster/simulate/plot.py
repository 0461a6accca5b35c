"""A picture of a comparison, as SVG: a row for each policy, a dot for each number of sessions.

Two panels share the rows: the mean turn, and the p99 of the time to first token.  The scales are logarithmic.
Ours are in bold.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from cluster.simulate.policies import OURS

Row = Mapping[str, object]

PANELS = {"mean_turn_s": "mean turn, s", "ttft_p99_s": "first token p99, s"}
LABEL_WIDTH, PANEL_WIDTH, GAP, MARGIN = 190, 330, 30, 24
ROW_HEIGHT, TOP, LEGEND_Y = 26, 112, 56
DOT_RADIUS = 5.5
COLOURS = ("#9ecae1", "#4a90c2", "#17466e", "#e6a23c", "#c0562b", "#6b3d8f")
"""Of the numbers of sessions, ascending; from the first again where there are more."""

INK, PALE, GRID = "#22303c", "#6b7a87", "#e3e8ec"
FONT = "font-family='system-ui, sans-serif'"
TICKS = (1, 2, 5)
LEAST_S = 0.01
"""Shorter times are drawn at this."""


def plot(rows: Sequence[Row], title: str) -> str:
    """`rows`: as of `hearth simulate --json`, at least one.  The policy that waits least comes first."""
    numbers = sorted({_number(row) for row in rows})
    most = [row for row in rows if _number(row) == numbers[-1]]
    names = [str(row["policy"]) for row in sorted(most, key=lambda row: _value(row, "mean_turn_s"))]
    width = MARGIN + LABEL_WIDTH + 2 * PANEL_WIDTH + GAP + MARGIN
    height = TOP + ROW_HEIGHT * len(names) + 40
    colours = {number: COLOURS[at % len(COLOURS)] for at, number in enumerate(numbers)}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' {FONT} font-size='13' fill='{INK}'>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
        f"<text x='{MARGIN}' y='30' font-size='16' font-weight='600'>{escape(title)}</text>",
        *_legend(colours, width),
        *_names(names),
        *(part for at, field in enumerate(PANELS) for part in _panel(at, field, rows, names, colours)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _number(row: Row) -> int:
    return int(str(row["num_sessions_at_once"]))


def _value(row: Row, field: str) -> float:
    return max(float(str(row[field])), LEAST_S)


def _y(place: int) -> float:
    return TOP + ROW_HEIGHT * (place + 0.5)


def _legend(colours: Mapping[int, str], width: int) -> Iterator[str]:
    x = width - MARGIN
    yield f"<text x='{x}' y='{LEGEND_Y}' text-anchor='end' fill='{PALE}'>sessions</text>"
    x -= 66
    for number, colour in reversed(list(colours.items())):
        yield f"<text x='{x}' y='{LEGEND_Y}' text-anchor='end'>{number}</text>"
        x -= 8 * len(str(number)) + 9
        yield f"<circle cx='{x}' cy='{LEGEND_Y - 4.5}' r='{DOT_RADIUS}' fill='{colour}'/>"
        x -= 16


def _names(names: Sequence[str]) -> Iterator[str]:
    for place, name in enumerate(names):
        weight = " font-weight='700'" if name in OURS else ""
        yield f"<text x='{MARGIN}' y='{_y(place) + 4.5}'{weight}>{escape(name)}</text>"


def _panel(
    at: int, field: str, rows: Sequence[Row], names: Sequence[str], colours: Mapping[int, str]
) -> Iterator[str]:
    left = MARGIN + LABEL_WIDTH + at * (PANEL_WIDTH + GAP)
    values = [_value(row, field) for row in rows]
    scale = _Scale(min(values), max(values), left)
    bottom = TOP + ROW_HEIGHT * len(names)
    yield f"<text x='{left}' y='{TOP - 24}' font-weight='600'>{PANELS[field]}</text>"
    for tick in scale.ticks():
        x = scale.x(tick)
        yield f"<path d='M{x:.1f} {TOP - 8}V{bottom}' stroke='{GRID}'/>"
        words = f"{tick:,.0f}" if tick >= 1 else f"{tick:g}"
        yield f"<text x='{x:.1f}' y='{bottom + 18}' text-anchor='middle' fill='{PALE}'>{words}</text>"
    for place, name in enumerate(names):
        own = [row for row in rows if row["policy"] == name]
        ends = [scale.x(_value(row, field)) for row in own]
        line = f"M{min(ends):.1f} {_y(place)}H{max(ends):.1f}"
        yield f"<path d='{line}' stroke='{GRID}' stroke-width='4'/>"
        for row in own:
            number, value = _number(row), _value(row, field)
            yield (
                f"<circle cx='{scale.x(value):.1f}' cy='{_y(place)}' r='{DOT_RADIUS}' "
                f"fill='{colours[number]}'><title>{escape(name)}, {number} sessions: {value:,.1f} s</title>"
                "</circle>"
            )


class _Scale:
    """Logarithmic, over the whole width of a panel; its ends are ticks."""

    def __init__(self, least: float, most: float, left: float) -> None:
        every = [
            digit * 10.0**power
            for power in range(floor(log10(least)) - 1, ceil(log10(most)) + 2)
            for digit in TICKS
        ]
        self._low = max(each for each in every if each <= least)
        self._high = min(each for each in every if each >= most and each > self._low)
        self._ticks = [each for each in every if self._low <= each <= self._high]
        self._left = left

    def x(self, value: float) -> float:
        share = log10(value / self._low) / log10(self._high / self._low)
        return self._left + share * PANEL_WIDTH

    def ticks(self) -> Sequence[float]:
        """Powers of ten alone where all would be too many to read."""
        is_wide = len(self._ticks) > 9
        return [each for each in self._ticks if not is_wide or float(log10(each)).is_integer()]
