"""A check as a page and as a document: the gravest pictures, with what is wrong in red."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_sets import picture

from yolo_slim.data.check.rows import RawBox, RawImage, RawSplit
from yolo_slim.data.check.run import Outcome, check_splits
from yolo_slim.data.check.sources import read_splits
from yolo_slim.pipeline import checking
from yolo_slim.pipeline.checking import check_document, check_page, told, worst_pictures
from yolo_slim.report.check_page import render_check_page


@pytest.fixture
def outcome(tmp_path):
    """Makes the outcome of one split of grey pictures 100x80, given the boxes of each."""

    def make(*images: list[tuple[float, float, float, float, int]], alike=False) -> Outcome:
        entries, number = [], 0
        for k, rows in enumerate(images):
            path = tmp_path / f"{k}.png"
            cv2.imwrite(str(path), np.full((80, 100, 3), 128 if alike else 60 + k, np.uint8))
            boxes = tuple(RawBox(number + n, row[:4], row[4]) for n, row in enumerate(rows))
            number += len(rows)
            entries.append(RawImage(path.name, path, (100, 80), boxes))
        return check_splits((RawSplit("data", "here", tuple(entries), ("fig",), (1,)),))

    return make


def _red(image: np.ndarray) -> np.ndarray:
    return np.argwhere((image == checking._RED_BGR).all(axis=2))


def test_a_box_with_a_finding_is_red_and_others_are_not(outcome):
    good, flat = (10, 10, 40, 40, 0), (60, 20, 60, 70, 0)
    ((caption, image),) = worst_pictures(outcome([good], [good, flat]))
    assert caption == "data: 1.png. flat box: 0 px wide and 50 px high"
    rows, columns = _red(image).T
    assert 19 <= rows.min() <= 21 and 69 <= rows.max() <= 71
    assert set(columns) <= {59, 60, 61}


def test_a_box_over_the_border_gets_a_margin(outcome):
    ((_, image),) = worst_pictures(outcome([(-10, 10, 40, 40, 0)]))
    assert image.shape == (100, 120, 3)
    assert _red(image)[:, 1].min() in (0, 1)
    far = outcome([(-9e8, -9e8, 9e8, 9e8, 0)])
    ((_, image),) = worst_pictures(far)
    assert image.shape == (130, 150, 3), "a quarter of the longer side, no more"


def test_two_that_are_alike_stand_side_by_side(outcome):
    ((caption, image),) = worst_pictures(outcome([], [], alike=True))
    assert "duplicate picture" in caption and image.shape == (80, 200, 3)


def test_broken_pictures_are_passed_over_and_there_are_not_too_many(outcome, tmp_path):
    found = outcome(*[[(500, 500, 600, 600, 0)]] * 40, *[[(-9, 0, 9, 9, 0)]] * 40)
    captions = [caption for caption, _ in worst_pictures(found)]
    assert len(captions) == 8, "four of each kind"
    assert "box outside" in captions[0]
    Path(tmp_path / "0.png").unlink()
    assert len(list(worst_pictures(found))) == 7


def test_a_large_picture_is_drawn_small(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((1000, 3000, 3), np.uint8))
    entry = RawImage("a.png", path, (3000, 1000), (RawBox(0, (3100, 0, 3200, 9), 0),))
    found = check_splits((RawSplit("data", "here", (entry,), ("fig",), (1,)),))
    ((_, image),) = worst_pictures(found)
    assert max(image.shape) <= 2 * checking._DRAWN_PX


def test_pictures_of_one_name_in_two_folders_are_two(tmp_path):
    for folder, size, row in (("a", (40, 30), "0 0.5 0.5 1 1"), ("b", (80, 50), "0 0.9 0.5 0.4 1")):
        picture(tmp_path / "images" / folder / "0.png", *size)
        label = tmp_path / "labels" / folder / "0.txt"
        label.parent.mkdir(parents=True)
        label.write_text(f"{row}\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [fig]\n")
    found = check_splits(read_splits(tmp_path / "data.yaml", None, None))
    (over,) = [f for f in found.findings if f.kind == "box over the border"]
    assert (over.file, over.annotation) == ("b/0.png", 1)
    ((caption, image),) = [p for p in worst_pictures(found) if "box over the border" in p[0]]
    assert "b/0.png" in caption and image.shape[1] > 80


def test_the_document_counts_what_the_page_and_the_sentence_tell(outcome):
    found = outcome([(5, 5, 9, 9, 0), (5, 5, 9, 9, 0)], [(500, 5, 600, 9, 0)])
    document = check_document(found)
    assert (document["faults"], document["warnings"]) == (1, 1)
    assert len(document["findings"]) == sum(document["kinds"].values())
    assert told(found).startswith("1 fault, 1 warning, 0 notes in 2 pictures with 3 boxes")
    json.dumps(document, allow_nan=False)
    page = check_page(found, "here", 1.0)
    assert page.cards["Faults"] == "1" and [row.kind for row in page.kinds] == list(
        document["kinds"]
    )
    assert "box outside" in render_check_page(page)


def test_a_set_without_boxes_makes_a_page_without_plots(outcome):
    page = check_page(outcome([]), "here", 1.0)
    assert page.plots == {}
    assert "<script" not in render_check_page(page)
