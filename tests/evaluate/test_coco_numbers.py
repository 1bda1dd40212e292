"""Ours are the numbers of pycocotools; what may be missing may; what is wrong is said."""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_slim.detections import Detections
from yolo_slim.errors import DataError
from yolo_slim.evaluate.coco import (
    COCO_KEYS,
    coco_numbers,
    coco_results,
    per_class_ap,
    score_results,
)

SHARED = Path(__file__).resolve().parents[3] / "shared"
SIZES = {"s": "small", "m": "medium", "l": "large"}
REFERENCES = [
    f"{program}_{model}_{part}"
    for part in ("dev_val2017", "dev_train2017")
    for program, model in (
        ("opencv414", "yf1.1"),
        ("opencv414", "yf1.1-xl"),
        ("opencv414", "mbv2-nano"),
        ("debian_darknet_letterbox", "yf1.1"),
        ("debian_darknet_letterbox", "yf1.1-xl"),
    )
]


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        absent = f"{path} is not there: the shared data is not beside this checkout"
        pytest.fail(absent) if os.environ.get("CI") == "true" else pytest.skip(absent)
    return path


def published(row: dict[str, float]) -> dict[str, float]:
    """Our keys for the long ones of the files: APs is APsmall there."""
    return {key: row[key[:2] + SIZES.get(key[2:], key[2:])] for key in COCO_KEYS}


def pycocotools_evaluator(truth: dict, results: list[dict]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def random_truth(seed: int, n_images: int = 12) -> dict:
    """Boxes of all three COCO sizes, a tenth of them crowds, category ids with gaps."""
    rng = np.random.default_rng(seed)
    boxes = []
    for image_id in range(100, 100 + n_images):
        for _ in range(rng.integers(0, 9)):
            left, top = rng.uniform(0, 300, 2)
            width, height = rng.uniform(5, 200, 2) ** rng.uniform(0.6, 1, 2)
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.choice([2, 3, 7])),
                    "bbox": [left, top, width, height],
                    "area": width * height * rng.uniform(0.5, 1),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
    return {
        "images": [{"id": i, "width": 512, "height": 512} for i in range(100, 100 + n_images)],
        "categories": [{"id": i, "name": f"class {i}"} for i in (2, 3, 7, 9)],
        "annotations": boxes,
    }


def shaken(truth: dict, seed: int) -> dict[int, Detections]:
    """The true boxes, shaken, some lost, some of another class, some invented; equal scores occur.
    The first image has no entry at all."""
    rng = np.random.default_rng(seed + 1000)
    found = {}
    for image in truth["images"][1:]:
        mine = [box for box in truth["annotations"] if box["image_id"] == image["id"]]
        boxes = np.array([box["bbox"] for box in mine] + [[10, 10, 60, 40]] * 3, np.float64)
        boxes = np.repeat(boxes, rng.integers(0, 3, len(boxes)), axis=0)
        boxes[:, :2] += rng.normal(0, 4, (len(boxes), 2))
        boxes[:, 2:] *= rng.uniform(0.8, 1.25, (len(boxes), 2))
        boxes[:, 2:] += boxes[:, :2]
        scores = rng.integers(1, 20, len(boxes)) / 20
        class_ids = rng.integers(0, 4, len(boxes))
        found[image["id"]] = Detections(boxes.astype("f4"), scores.astype("f4"), class_ids)
    return found


def test_the_golden_set_gives_its_published_numbers() -> None:
    truth = json.loads(shared("data/golden/coco100_gt.json").read_text())
    results = json.loads(shared("data/golden/coco100_dets.json").read_text())
    expected = json.loads(shared("data/golden/expected.json").read_text())["coco100"]
    assert score_results(truth, results) == pytest.approx(published(expected), abs=1e-6)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_detections_give_the_numbers_of_ap_json(name: str) -> None:
    part = "_".join(name.rsplit("_", 2)[1:])
    expected = json.loads(shared("reference/ap.json").read_text())[name]
    truth = json.loads(shared(f"data/coco/annotations/{part}.json").read_text())
    results = json.loads(gzip.decompress(shared(f"reference/{name}.json.gz").read_bytes()))
    assert score_results(truth, results) == pytest.approx(published(expected), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_random_sets_give_the_numbers_of_pycocotools(seed: int) -> None:
    truth = random_truth(seed)
    found, category_ids = shaken(truth, seed), [2, 3, 7, 9]
    ours = coco_numbers(truth, found, category_ids)
    theirs = pycocotools_evaluator(truth, coco_results(found, category_ids))
    assert list(ours) == list(COCO_KEYS)
    assert list(ours.values()) == pytest.approx(list(theirs.stats), abs=1e-12)

    table = per_class_ap(truth, found, category_ids)
    assert list(table) == ["class 2", "class 3", "class 7", "class 9"]
    for k, row in enumerate(table.values()):
        precision = theirs.eval["precision"][:, :, k, 0, 2]  # [10 IoUs, 101 recalls]
        defined = precision.min() > -1
        assert row.AP == pytest.approx(precision.mean() if defined else -1, abs=1e-12)
        assert row.AP50 == pytest.approx(precision[0].mean() if defined else -1, abs=1e-12)


def test_the_class_table_counts_single_objects_and_averages_to_the_whole() -> None:
    truth = random_truth(3)
    found = shaken(truth, 3)
    table = per_class_ap(truth, found, [2, 3, 7, 9])
    single = [box for box in truth["annotations"] if not box["iscrowd"]]
    assert sum(row.n_boxes for row in table.values()) == len(single)
    assert (table["class 9"].AP, table["class 9"].n_boxes) == (-1, 0)
    mean = np.mean([row.AP for row in table.values() if row.n_boxes])
    assert mean == pytest.approx(coco_numbers(truth, found, [2, 3, 7, 9])["AP"], abs=1e-12)


def test_categories_of_one_name_have_a_row_each() -> None:
    truth = random_truth(3)
    found, ids = shaken(truth, 3), [2, 3, 7, 9]
    rows = list(per_class_ap(truth, found, ids).values())
    for category in truth["categories"]:
        category["name"] = "dog" if category["id"] == 7 else "cat"
    table = per_class_ap(truth, found, ids)
    assert list(table) == ["cat (0)", "cat (1)", "dog", "cat (3)"]
    assert list(table.values()) == rows


def test_true_boxes_score_one_and_nothing_found_scores_zero() -> None:
    truth = random_truth(5)
    truth["annotations"] = [box | {"iscrowd": 0} for box in truth["annotations"]]
    perfect = [{**box, "score": 0.9} for box in truth["annotations"]]
    best, nothing = score_results(truth, perfect), score_results(truth, [])
    assert best["AP"] == pytest.approx(1)
    assert nothing == {key: 0 if defined > -1 else -1 for key, defined in best.items()}
    empty = {image["id"]: Detections.empty() for image in truth["images"]}
    assert coco_numbers(truth, empty, [2, 3, 7, 9]) == coco_numbers(truth, {}, [2, 3, 7, 9])


def test_a_size_without_a_box_is_minus_one() -> None:
    truth = random_truth(6)
    truth["annotations"] = [box for box in truth["annotations"] if box["area"] > 32**2]
    numbers = score_results(truth, [])
    assert (numbers["APs"], numbers["ARs"], numbers["AP"]) == (-1, -1, 0)


def test_an_image_in_which_nothing_was_found_counts() -> None:
    truth = random_truth(7)
    truth["annotations"] = [box | {"iscrowd": 0} for box in truth["annotations"]]
    perfect = [{**box, "score": 0.9} for box in truth["annotations"]]
    missed = truth["annotations"][0]["image_id"]
    partly = [result for result in perfect if result["image_id"] != missed]
    assert score_results(truth, partly)["AR100"] < score_results(truth, perfect)["AR100"]


def test_ground_truth_without_area_and_from_number_zero_is_understood() -> None:
    truth = random_truth(8)
    for number, box in enumerate(truth["annotations"]):
        box |= {"id": number, "area": box["bbox"][2] * box["bbox"][3], "iscrowd": 0}
    bare = [
        {key: box[key] for key in ("image_id", "category_id", "bbox")}
        for box in truth["annotations"]
    ]
    renumbered = [box | {"id": box["id"] + 1} for box in truth["annotations"]]
    found = shaken(truth, 8)
    expected = coco_numbers({**truth, "annotations": renumbered}, found, [2, 3, 7, 9])
    assert coco_numbers({**truth, "annotations": bare}, found, [2, 3, 7, 9]) == expected
    assert coco_numbers(truth, found, [2, 3, 7, 9]) == expected


def test_scoring_changes_nothing_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    truth = random_truth(9)
    results = coco_results(shaken(truth, 9), [2, 3, 7, 9])
    before = copy.deepcopy((truth, results))
    score_results(truth, results)
    assert (truth, results) == before
    assert capfd.readouterr() == ("", "")


def test_results_are_corner_and_size_in_coco_categories() -> None:
    found = Detections(
        np.array([[10, 20, 40, 25.5]], "f4"), np.array([0.5], "f4"), np.array([1], "i8")
    )
    assert coco_results({42: found}, [3, 18]) == [
        {"image_id": 42, "category_id": 18, "bbox": [10, 20, 30, 5.5], "score": 0.5}
    ]


@pytest.mark.parametrize(
    ("image_id", "category_ids", "words"),
    [
        (999, [2, 3, 7], "image_id .* images, such as 999"),
        (100, [2, 3], "image 100 .* class 2, but there are 2 categories"),
        (100, [2, 3, 80], "category_id .* categories, such as 80"),
    ],
    ids=["unknown image", "class without category", "unknown category"],
)
def test_what_the_ground_truth_does_not_know_is_a_data_error(
    image_id: int, category_ids: list[int], words: str
) -> None:
    found = Detections(np.array([[0, 0, 9, 9]], "f4"), np.array([1], "f4"), np.array([2], "i8"))
    with pytest.raises(DataError, match=words):
        coco_numbers(random_truth(1), {image_id: found}, category_ids)


def test_a_dictionary_that_is_not_coco_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no annotations, categories"):
        score_results({"images": []}, [])
