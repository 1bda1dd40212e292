"""--winograd, and the multiplications that `profile` counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import status, told

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import measure, totals, winograd_multiplications
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.pipeline.runtimes import RUNTIMES
from yolo_slim.report.sections import TITLES, markdown_table, rows
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    return tmp_path


def test_profile_times_both_ways_and_counts_multiplications(place, capsys):
    command = "profile model --runtime torch --winograd 4 --json p.json --markdown p.md --threads 1"
    assert status(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "model (direct)" in printed
    assert "torch no on x86" in printed and "ncnn F2, F4, F6" in printed
    document = json.loads((place / "p.json").read_text())
    cfg = build("yolov3-nano", 2, 64)
    counts = [section["multiplications_winograd"] for section in document["sections"]]
    for tile in (2, 4, 6):
        expected = winograd_multiplications(cfg, tile)
        assert [count[str(tile)] for count in counts] == list(expected)
        assert document["totals"]["multiplications_winograd"][str(tile)] == sum(expected)
    assert [s["multiplications"] for s in document["sections"]] == [c.macs for c in measure(cfg)]
    assert document["totals"]["multiplications"] == totals(cfg).macs
    assert document["winograd"] == 4
    assert document["winograd_on_its_own"].keys() == RUNTIMES.keys()
    assert document["totals"]["latency_ms"] > 0
    assert document["compare"]["model (direct)"]["latency_ms"] > 0
    assert (place / "p.md").read_text() == markdown_table(cfg)


def test_the_table_has_both_counts():
    first, second = TITLES.index("mult. F2"), TITLES.index("mult. F4")
    table = rows(build("yolov3"))
    by_index = {row[0]: row for row in table}
    # 32 -> 64 channels at 208 px
    assert by_index["3"][TITLES.index("MACs")] == "0.80 G"
    assert (by_index["3"][first], by_index["3"][second]) == ("0.35 G", "0.20 G")
    assert by_index["2"][first] == by_index["2"][TITLES.index("MACs")]  # 1 x 1
    assert by_index["4"][first] == ""  # a shortcut multiplies nothing
    assert table[-1][TITLES.index("MACs")] == "32.9 G"
    assert (table[-1][first], table[-1][second]) == ("19.1 G", "14.8 G")
    markdown = markdown_table(build("yolov3-nano", 2, 64)).splitlines()
    assert "| MACs | mult. F2 | mult. F4 |" in markdown[0]
    assert {line.count("|") for line in markdown} == {len(TITLES) + 1}


def test_detect_finds_the_same(place, capsys):
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    cv2.imwrite("picture.png", picture)
    words = "detect model picture.png --conf 0.002 --runtime torch --threads 1"
    assert status(f"{words} --out direct") == 0
    assert status(f"{words} --winograd 2 --out tiles") == 0
    direct, tiles = (
        [json.loads(line) for line in (place / name / "detections.jsonl").read_text().splitlines()]
        for name in ("direct", "tiles")
    )
    assert len(direct) == len(tiles) > 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("profile model --winograd 4", "--winograd is for --runtime torch: how onnxruntime"),
        ("profile model --runtime torch --winograd 3", "'3' is not one of"),
        ("detect model a.png --runtime onnxruntime --winograd 2 --out x", "--winograd is for"),
        (
            "profile wide.cfg --weights wide.weights --runtime torch --winograd auto",
            "wide.cfg: no section can run by Winograd's algorithm",
        ),
    ],
)
def test_where_it_makes_no_sense_it_is_refused(command, words, place, capsys):
    from yolo_slim.cfg import parse

    text = "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    head = "[yolo]\nmask=0\nanchors=4,5\nclasses=2\nnum=1\n"
    (place / "wide.cfg").write_text(text + head)
    cfg = parse(text + head)
    write_darknet_weights(place / "wide.weights", cfg, random_weights(cfg))
    (place / "a.png").write_bytes(b"")
    before = sorted(place.rglob("*"))
    code, err = told(command, capsys)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) <= 2
    assert sorted(place.rglob("*")) == before
