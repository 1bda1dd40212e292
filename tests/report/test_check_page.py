"""The page of a data check stands alone, trusts no text, and can do without any part."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from yolo_slim.report.check_page import CheckPage, KindRow, render_check_page, write_check_page
from yolo_slim.report.plots import count_bars, share_histogram

EVIL = '</script><script>alert("1")</script><img src=http://evil.example/x>'
FULL = CheckPage(
    title="set",
    summary="2 faults.",
    cards={"Faults": "2"},
    kinds=[KindRow("fault", "leak", 7, "Take one out.", [("val: a.jpg", "the same bytes")])],
    splits=[["Split", "Images"], ["train", "12"]],
    plots={"Boxes": count_bars({"train": {"fig": 3}}, "boxes")},
    pictures=[("val: a.jpg", np.zeros((900, 1200, 3), np.uint8))],
    circumstances={"data": "set.yaml"},
)


def test_everything_is_told():
    html = render_check_page(FULL)
    for told in ("2 faults.", "Take one out.", "the same bytes", "and 6 more", "train", "set.yaml"):
        assert told in html, told
    assert html.count('class="plot" id="plot-0"') == 1


@pytest.mark.parametrize(
    "part", ["summary", "cards", "kinds", "splits", "plots", "pictures", "circumstances"]
)
def test_a_part_may_be_missing(part):
    default = getattr(CheckPage("x"), part)
    assert len(render_check_page(replace(FULL, **{part: default}))) < len(render_check_page(FULL))
    alone = CheckPage("x", **{part: getattr(FULL, part)})
    assert len(render_check_page(alone)) > len(render_check_page(CheckPage("x")))


def test_text_is_never_markup():
    page = CheckPage(
        EVIL,
        EVIL,
        {EVIL: EVIL},
        [KindRow(EVIL, EVIL, 1, EVIL, [(EVIL, EVIL)])],
        [[EVIL], [EVIL, EVIL]],
        {EVIL: count_bars({EVIL: {EVIL: 1}}, "boxes")},
        [(EVIL, np.zeros((4, 4, 3), np.uint8))],
        {EVIL: EVIL},
    )
    html = render_check_page(page)
    outside = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert "<script>alert" not in html
    assert "<img src=http" not in outside


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    write_check_page(tmp_path / "deep" / "check.html", FULL)
    assert (tmp_path / "deep" / "check.html").read_text() == render_check_page(FULL)
    with pytest.raises(AttributeError):
        write_check_page(tmp_path / "other.html", replace(FULL, title=None))
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_counts_keep_every_class_in_the_order_of_the_first():
    counts = {"train": {"a": 1, "b": 5, "c": 0}, "val": {"a": 2, "b": 0, "c": 9, "d": 4}}
    figure = count_bars(counts, "boxes")
    assert [trace["text"] for trace in figure["data"]] == [["b", "a", "c", "d"]] * 2
    assert [trace["y"] for trace in figure["data"]] == [[5, 1, 0, 0], [0, 2, 9, 4]]
    assert figure["layout"]["yaxis"].get("type") is None
    steep = count_bars({"train": {"a": 1, "b": 51}}, "boxes")
    assert steep["layout"]["yaxis"]["type"] == "log"
    assert count_bars({}, "boxes")["data"] == []


@pytest.mark.parametrize("log", [False, True])
def test_shares_add_up_to_the_whole(log):
    rng = np.random.default_rng(0)
    values = {"train": rng.uniform(0.01, 1, 500), "val": np.array([0.3]), "none": np.zeros(0)}
    figure = share_histogram(values, "size", log=log)
    assert [trace["name"] for trace in figure["data"]] == ["train", "val"]
    for trace in figure["data"]:
        assert sum(trace["y"]) == pytest.approx(100, abs=1e-3)
    assert figure["layout"]["xaxis"].get("type") == ("log" if log else None)


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [5.0, 5.0], [np.nan]])
@pytest.mark.parametrize("log", [False, True])
def test_odd_values_make_a_plot(values, log):
    figure = share_histogram({"x": np.array(values)}, "size", log=log)
    for trace in figure["data"]:
        assert sum(trace["y"]) == pytest.approx(100)
