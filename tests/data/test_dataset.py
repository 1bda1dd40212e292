"""A data set is checked at birth, and what leaves it for pycocotools is what came in."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_slim.data.coco import read_coco
from yolo_slim.data.dataset import Dataset, Sample, coco_ground_truth
from yolo_slim.errors import DataError


def _sample(n_boxes: int = 2, n_classes_given: int = 2, width_px: int = 9) -> Sample:
    return Sample(
        Path("a.png"),
        1,
        width_px,
        9,
        np.zeros((n_boxes, 4), np.float32),
        np.zeros(n_classes_given, np.int64),
        np.zeros(n_classes_given, bool),
        np.zeros(n_classes_given, np.float32),
    )


def test_arrays_of_a_sample_must_agree():
    assert len(_sample()) == 2
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        _sample(n_boxes=3)
    with pytest.raises(ValueError, match="size 0x9"):
        _sample(width_px=0)


def test_a_data_set_has_a_picture():
    with pytest.raises(DataError, match=r"x\.json has 0 images"):
        Dataset("x.json", (), ("a",), (1,))


def test_every_class_has_a_category_id():
    with pytest.raises(ValueError, match="1 names, 2 ids"):
        Dataset("x.json", (_sample(),), ("a",), (1, 2))


def test_ground_truth_scores_itself_perfectly(document, write_set):
    truth = coco_ground_truth(read_coco(*write_set(document)))
    found = [
        {**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for entry in truth["annotations"]
        if not entry["iscrowd"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        scorer = COCOeval(coco, coco.loadRes(found), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    assert scorer.stats[0] == pytest.approx(1.0)


def test_ground_truth_of_real_sets_is_their_annotations_again(shared_data):
    for part in ("dev_train2017", "dev_val2017"):
        file = shared_data / "coco" / "annotations" / f"{part}.json"
        given = json.loads(file.read_bytes())
        truth = coco_ground_truth(read_coco(shared_data / "coco" / part, file))

        def rows(document):
            return sorted(
                (a["image_id"], a["category_id"], a["iscrowd"], *map(float, a["bbox"]))
                for a in document["annotations"]
            )

        assert rows(truth) == rows(given)
        assert sorted(a["area"] for a in truth["annotations"]) == pytest.approx(
            sorted(a["area"] for a in given["annotations"]), rel=1e-6
        )
        assert {i["id"] for i in truth["images"]} == {i["id"] for i in given["images"]}
        assert {c["id"]: c["name"] for c in truth["categories"]} == {
            c["id"]: c["name"] for c in given["categories"]
        }
