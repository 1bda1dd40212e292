"""The page stands alone, tells every number, trusts no text, and can do without any part."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from yolo_slim.report.model import ClassRow, Report, StepRow
from yolo_slim.report.page import render, write_report
from yolo_slim.report.plan_tables import PlanTables
from yolo_slim.report.plots import tradeoff
from yolo_slim.report.shell import is_page

RNG = np.random.default_rng(0)
PLAN = PlanTables.of(
    {
        "notes": ["the floor decides in section 3"],
        "convolutions": [
            {"section": 0, "kind": "3x3", "before": 32, "after": 10, "held": [],
             "score_min": 0.1, "score_median": 0.5, "score_max": 2.0},
            {"section": 3, "kind": "1x1", "before": 64, "after": 64, "held": ["read by [yolo]"],
             "score_min": None, "score_median": None, "score_max": None},
        ],
        "planned_latency_ms": 7.25,
        "entrances": [{"section": 9, "before": 48, "after": 31}],
        "layers": [{"first": 5, "shortcut": 7, "score": 0.25, "dropped": True}],
        "zeros": [{"section": 0, "weights": 864, "zeros": 432, "left_alone": None}],
    }
)  # fmt: skip
FULL = Report(
    title="tiny run",
    summary="Small & fast.",
    recipe="[prune]\nratio = 0.6",
    circumstances={"device": "one CPU", "seed": "7"},
    steps=[
        StepRow("teacher", "train", 8.67e6, 4.1e9, 34.7e6, 20.0, 0.3112, 0.51, 7200, "torch"),
        StepRow("pruned", "prune", 2.17e6, 0.41e9, 8.7e6, 9.5, 0.2987, 0.5, 4.2, "torch"),
        StepRow("int8", "quantize", None, None, 2.2e6, 3.25, 0.2941, 0.49, None, "onnxruntime"),
    ],
    classes=[
        ClassRow("kept", 5, 0.5, 0.5),
        ClassRow("lost", 9, 0.5, 0.2),
        ClassRow("none", 0, -1, None),
    ],
    gammas={"before": RNG.normal(1, 0.2, 500), "after": np.array([0.0, np.nan, 0.3])},
    plans={"pruned": PLAN},
    curves={"teacher": {"loss": ([1, 2, 3], [3.0, float("nan"), 1.0]), "AP": ([2], [0.3])}},
    pictures=[("teacher sees", RNG.integers(0, 255, (30, 40, 3), np.uint8))] * 2,
    notes=["128 images give a noisy AP."],
    settings={"--lr": "0.001"},
    history=[("Done", "settings"), ("train", "epochs 3")],
)
PARTS = [
    "summary",
    "recipe",
    "circumstances",
    "steps",
    "classes",
    "gammas",
    "plans",
    "curves",
    "pictures",
    "notes",
    "settings",
    "history",
]
EVIL = '</script><script>alert("1")</script><img src=http://evil.example/x>'


class Elements(HTMLParser):
    """Start tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text += f"{data}\n"


def plots_of(html: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.S)
    return json.loads(found.group(1)) if found else []


def test_every_step_and_number_is_told_and_compared_with_the_first() -> None:
    text = Elements(render(FULL)).text
    for told in (
        *("tiny run", "Small & fast.", "ratio = 0.6", "one CPU", "128 images"),
        *("teacher", "8.67 M", "4.10 G", "34.7 MB", "20.0 ms", "31.12", "51.00", "2 h 00 min"),
        *("pruned", "2.17 M", "0.41 G", "8.70 MB", "9.50 ms", "29.87", "50.00", "4.2 s"),
        *("int8", "2.20 MB", "3.25 ms", "29.41", "49.00", "onnxruntime"),
        *("--lr", "0.001", "Done", "epochs 3"),
        *("×0.25", "×0.1", "×0.47", "−1.25", "−1.00", "×0.063", "−1.71"),
    ):
        assert told in text, told
    classes = text[text.index("AP of each class") :]
    assert classes.index("lost") < classes.index("kept") < classes.index("none")
    assert "different runtimes" in text
    alike = [replace(step, runtime="torch") for step in FULL.steps]
    assert "different runtimes" not in render(replace(FULL, steps=alike))


def test_every_plot_has_a_place_titled_axes_and_a_legend() -> None:
    html = render(FULL)
    plots = plots_of(html)
    places = [attrs["id"] for _, attrs in Elements(html).tags if attrs.get("class") == "plot"]
    assert places == [f"plot-{number}" for number in range(len(plots))]
    assert len(plots) == 5  # trade-off, gammas, channels, loss, AP
    for plot in plots:
        assert plot["layout"]["xaxis"]["title"]["text"]
        assert plot["layout"]["yaxis"]["title"]["text"]
        assert plot["layout"]["showlegend"] == all("name" in trace for trace in plot["data"])
    _, gammas, channels, loss, _ = plots
    assert gammas["layout"]["yaxis"]["type"] == "log"
    assert [sum(trace["y"]) for trace in gammas["data"]] == [500, 2]
    assert [trace["y"] for trace in channels["data"]] == [[32, 64], [10, 64]]
    assert loss["data"][0]["y"] == [3, None, 1]


def test_the_page_asks_nothing_of_any_network() -> None:
    html = render(FULL)
    assert html.count("plotly.js v") == 1, "the library is inlined once"
    elements = Elements(html)
    addresses = [
        attrs[key]
        for _, attrs in elements.tags
        for key in ("src", "href", "srcset")
        if key in attrs
    ]
    assert len(addresses) == 2
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in elements.tags}
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for _, a in elements.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_text_is_never_markup() -> None:
    evil = Report(
        title=EVIL,
        summary=EVIL,
        recipe=EVIL,
        circumstances={EVIL: EVIL},
        steps=[StepRow(EVIL, EVIL, 10, AP=0.1, file_bytes=9, latency_ms=1, runtime=EVIL)] * 2,
        classes=[ClassRow(EVIL, 1, 0.1, 0.2)],
        gammas={EVIL: np.ones(3)},
        plans={EVIL: PlanTables(((EVIL, 2, 1),), ((EVIL,), (EVIL,)), notes=(EVIL,))},
        curves={EVIL: {EVIL: ([1], [1.0])}},
        pictures=[(EVIL, np.zeros((4, 4, 3), np.uint8))],
        notes=[EVIL],
        settings={EVIL: EVIL},
        history=[(EVIL,), (EVIL,)],
    )
    html = render(evil)
    honest = Elements(render(FULL))
    elements = Elements(html)
    assert [tag for tag, _ in elements.tags].count("script") == 3
    assert {tag for tag, _ in elements.tags} == {tag for tag, _ in honest.tags}
    assert not any("http://evil" in (attrs.get("src") or "") for _, attrs in elements.tags)
    plots = plots_of(html)
    names = [trace["name"] for plot in plots for trace in plot["data"] if "name" in trace]
    assert EVIL in map(unescape, names)
    assert not any("<" in text for text in names)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_be_missing(part: str) -> None:
    default = getattr(Report("x"), part)
    without = render(replace(FULL, **{part: default}))
    assert len(without) < len(render(FULL))
    alone = render(Report("tiny run", **{part: getattr(FULL, part)}))
    assert len(alone) > len(render(Report("tiny run")))


def test_a_plan_is_told_in_full() -> None:
    told = Elements(render(FULL)).text
    words = ("What pruned has decided", "the floor decides in section 3", "0 3x3", "goes", "50.0%",
             "What blocks read", "31", "7.25 ms when it was chosen")  # fmt: skip
    for word in (*words, "read by [yolo]", "5 to 7"):
        assert word in told


def test_a_page_without_plots_carries_no_script() -> None:
    html = render(Report("bare"))
    assert "<script" not in html
    assert "<h2>" not in html
    assert "<h1>bare</h1>" in html


def test_steps_with_nothing_measured_and_degenerate_data_make_a_page() -> None:
    report = Report(
        "odd",
        steps=[StepRow("first"), StepRow("second", parameters=0, file_bytes=0, AP=0)],
        gammas={"zeros": np.zeros(4), "none": np.zeros(0)},
        plans={"gone": PlanTables((("0 conv", 8, 0),))},
        curves={"run": {}, "other": {"loss": ([], [])}},
    )
    html = render(report)
    assert "second" in html
    assert [sum(trace["y"]) for trace in plots_of(html)[0]["data"]] == [4, 0]


def test_runs_side_by_side_do_not_follow_one_another() -> None:
    html = render(replace(FULL, side_by_side=True))
    assert "<h2>Runs</h2>" in html and "<h2>Steps</h2>" not in html
    assert '<dl class="cards">' not in html and '<dl class="cards">' in render(FULL)
    tradeoff, *_ = plots_of(html)
    assert tradeoff["data"][0]["mode"] == "markers+text"


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>\n<html>mine</html>", b"\xff\xd8", b"dear"])
def test_a_page_is_told_from_another_file(content: bytes, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", FULL)
    assert is_page(tmp_path / "report.html")
    (tmp_path / "other.html").write_bytes(content)
    assert not is_page(tmp_path / "other.html")
    (tmp_path / "empty.html").touch()
    assert is_page(tmp_path / "empty.html")


def test_a_large_picture_is_made_smaller() -> None:
    large = np.zeros((2000, 4000, 3), np.uint8)
    assert len(render(Report("x", pictures=[("black", large)]))) < 40_000


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    write_report(path, FULL)
    assert path.read_text(encoding="utf-8") == render(FULL)
    with pytest.raises(AttributeError):
        write_report(path, replace(FULL, notes=[None]))
    assert path.read_text(encoding="utf-8") == render(FULL)
    assert [child.name for child in path.parent.iterdir()] == ["report.html"]


def test_names_of_neighbours_on_the_way_do_not_lie_on_each_other() -> None:
    figure = tradeoff(FULL.steps)
    assert figure is not None
    sides = figure["data"][0]["textposition"]
    assert len(sides) == len(FULL.steps)
    assert all(a != b for a, b in pairwise(sides))


def test_a_round_that_was_not_kept_is_no_outcome() -> None:
    steps = [
        StepRow("model", AP=0.5, file_bytes=4e6),
        StepRow("cut", AP=0.49, file_bytes=2e6),
        StepRow("cut again", AP=0.3, file_bytes=1e6, kept=False),
    ]
    page = render(Report("rounds", steps=steps))
    cards = page[page.index('<dl class="cards">') : page.index("</dl>")]
    assert "49.00" in cards and "30.00" not in cards
    figure = tradeoff(steps)
    assert figure is not None and figure["data"][0]["text"] == ["model", "cut"]
