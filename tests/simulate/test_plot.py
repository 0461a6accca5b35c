"""The picture of a comparison: a policy that waits less is further up, a longer time further right."""

from collections.abc import Sequence
from xml.etree import ElementTree

from cluster.simulate.plot import plot

SVG = "{http://www.w3.org/2000/svg}"
TIMES = {
    ("slow", 12): (40.0, 300.0),
    ("quick", 12): (10.0, 50.0),
    ("quick", 24): (20.0, 90.0),
    ("slow", 24): (400.0, 3000.0),
}
ROWS = [
    {"policy": policy, "num_sessions_at_once": number, "mean_turn_s": mean_s, "ttft_p99_s": p99_s}
    for (policy, number), (mean_s, p99_s) in TIMES.items()
]


def dots(drawn: str) -> Sequence[tuple[str, float, float]]:
    """What a dot says, and where it is."""
    found = ElementTree.fromstring(drawn).iter(f"{SVG}circle")
    return [
        (str(each.findtext(f"{SVG}title")), float(each.attrib["cx"]), float(each.attrib["cy"]))
        for each in found
        if each.find(f"{SVG}title") is not None
    ]


def test_each_dot_stands_where_its_figure_is() -> None:
    places = {words: (x, y) for words, x, y in dots(plot(ROWS, "lab"))}
    assert len(places) == 8
    quick, slow = places["quick, 12 sessions: 10.0 s"], places["slow, 12 sessions: 40.0 s"]
    assert quick[1] < slow[1]
    assert quick[0] < places["quick, 24 sessions: 20.0 s"][0] < slow[0]
    assert places["slow, 24 sessions: 400.0 s"][0] < places["quick, 12 sessions: 50.0 s"][0]


def test_all_of_it_is_inside_the_picture() -> None:
    drawn = plot([row | {"mean_turn_s": 0.0} for row in ROWS[:1]], "a <lab> & more")
    root = ElementTree.fromstring(drawn)
    assert "a <lab> & more" in "".join(root.itertext())
    for _, x, y in dots(drawn):
        assert 0 < x < float(root.attrib["width"])
        assert 0 < y < float(root.attrib["height"])
