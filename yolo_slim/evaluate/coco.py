"""The 12 COCO numbers of a detector, and its AP class by class.

faster-coco-eval does the counting; pycocotools is the reference it is tested against. The ground
truth is a COCO dictionary and is never changed; boxes without `area` get width times height,
boxes without `iscrowd` count as single objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from yolo_slim.class_names import unique_names
from yolo_slim.detections import Detections
from yolo_slim.errors import DataError

CocoResult = dict[str, Any]  # image_id, category_id, bbox [left, top, width, height], score

_ALL, _SMALL, _MEDIUM, _LARGE = range(4)  # area ranges, in the order of the evaluator
_IOU50, _IOU75 = 0, 5  # thresholds 0.50, 0.55 .. 0.95
_ANY_IOU = slice(None)
_BEST_1, _BEST_10, _BEST_100 = range(3)  # detections of an image and class that may count

# key: (IoU thresholds, area range)
_PRECISIONS: dict[str, tuple[int | slice, int]] = {
    "AP": (_ANY_IOU, _ALL),
    "AP50": (_IOU50, _ALL),
    "AP75": (_IOU75, _ALL),
    "APs": (_ANY_IOU, _SMALL),
    "APm": (_ANY_IOU, _MEDIUM),
    "APl": (_ANY_IOU, _LARGE),
}
# key: (area range, detections that may count)
_RECALLS = {
    "AR1": (_ALL, _BEST_1),
    "AR10": (_ALL, _BEST_10),
    "AR100": (_ALL, _BEST_100),
    "ARs": (_SMALL, _BEST_100),
    "ARm": (_MEDIUM, _BEST_100),
    "ARl": (_LARGE, _BEST_100),
}

COCO_KEYS = (*_PRECISIONS, *_RECALLS)


@dataclass(frozen=True)
class ClassAP:
    """How well one class is found: fractions, -1 where it has no box; n_boxes without crowds."""

    AP: float
    AP50: float
    n_boxes: int


def coco_numbers(
    ground_truth: Mapping[str, Any],
    detections: Mapping[int, Detections],
    category_ids: Sequence[int],
) -> dict[str, float]:
    """The 12 numbers `AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl` as fractions.

    detections: by image id; an image of the ground truth without an entry counts as one in which
        nothing was found. category_ids: class k of the detector is category `category_ids[k]`.

    A number is -1 where the ground truth has no box of that size, as COCO does. Raises DataError
    for an image, a class or a category that the ground truth does not know.
    """
    return score_results(ground_truth, coco_results(detections, category_ids))


def score_results(
    ground_truth: Mapping[str, Any], results: Sequence[CocoResult]
) -> dict[str, float]:
    """The 12 numbers of `coco_numbers`, of a list in the COCO results format."""
    precision, recall = _count(ground_truth, results)
    numbers = {
        key: _mean(precision[ious, :, :, area, _BEST_100])
        for key, (ious, area) in _PRECISIONS.items()
    }
    return numbers | {
        key: _mean(recall[:, :, area, best]) for key, (area, best) in _RECALLS.items()
    }


def per_class_ap(
    ground_truth: Mapping[str, Any],
    detections: Mapping[int, Detections],
    category_ids: Sequence[int],
) -> dict[str, ClassAP]:
    """AP of each category by its name, by ascending category id; arguments of `coco_numbers`.

    Names that occur twice get the number of their class, as in `unique_names`.
    """
    precision, _ = _count(ground_truth, coco_results(detections, category_ids))
    categories = sorted(ground_truth["categories"], key=itemgetter("id"))
    names = unique_names([category["name"] for category in categories])
    n_boxes = {category["id"]: 0 for category in categories}
    for box in ground_truth["annotations"]:
        if not box.get("iscrowd", 0) and box["category_id"] in n_boxes:
            n_boxes[box["category_id"]] += 1
    return {
        name: ClassAP(
            AP=_mean(precision[:, :, k, _ALL, _BEST_100]),
            AP50=_mean(precision[_IOU50, :, k, _ALL, _BEST_100]),
            n_boxes=n,
        )
        for k, (name, n) in enumerate(zip(names, n_boxes.values(), strict=True))
    }


def coco_results(
    detections: Mapping[int, Detections], category_ids: Sequence[int]
) -> list[CocoResult]:
    """Detections by image id -> COCO results: bbox [left, top, width, height] in pixels, score.

    Raises DataError for a class id without a category.
    """
    results = []
    for image_id, found in detections.items():
        if len(found) and found.class_ids.max() >= len(category_ids):
            raise DataError(
                f"image {image_id} has a detection of class {found.class_ids.max()}, but there are "
                f"{len(category_ids)} categories. Model and data set must name the same classes."
            )
        boxes_xyxy = found.boxes_xyxy.astype(np.float64)
        sizes_wh = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        boxes_ltwh = np.concatenate([boxes_xyxy[:, :2], sizes_wh], axis=1)  # [n, 4]
        rows = zip(
            boxes_ltwh.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        )
        results += [
            {
                "image_id": image_id,
                "category_id": category_ids[class_id],
                "bbox": box_ltwh,
                "score": score,
            }
            for box_ltwh, score, class_id in rows
        ]
    return results


def _count(
    ground_truth: Mapping[str, Any], results: Sequence[CocoResult]
) -> tuple[np.ndarray, np.ndarray]:
    """Precision [10 IoUs, 101 recalls, categories, 4 areas, 3 limits] and recall, the same without
    its second axis; categories by ascending id, -1 where the ground truth has no box."""
    _check(ground_truth, results)
    frame = {"images": ground_truth["images"], "categories": ground_truth["categories"]}
    truth = COCO({**frame, "annotations": _annotations(ground_truth["annotations"])})
    found = COCO({**frame, "annotations": _annotations(map(_bare, results))})
    evaluator = COCOeval_faster(truth, found, iouType="bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    return np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"])


def _annotations(boxes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fresh rows with what the evaluator reads: it writes into what it is given. They are numbered
    from 1, because it takes a match with number 0 for no match."""
    return [
        {
            "id": number,
            "image_id": box["image_id"],
            "category_id": box["category_id"],
            "bbox": box["bbox"],
            "area": box.get("area", box["bbox"][2] * box["bbox"][3]),
            "iscrowd": int(box.get("iscrowd", 0)),
            "score": box.get("score", 0.0),
        }
        for number, box in enumerate(boxes, start=1)
    ]


def _bare(result: CocoResult) -> CocoResult:
    """A detection's area is that of its box, whatever the results file adds to it."""
    return {key: result[key] for key in ("image_id", "category_id", "bbox", "score")}


def _check(ground_truth: Mapping[str, Any], results: Sequence[CocoResult]) -> None:
    missing = {"images", "annotations", "categories"} - set(ground_truth)
    if missing:
        raise DataError(
            f"the ground truth has no {', '.join(sorted(missing))}; "
            "expected a COCO dictionary with images, annotations and categories."
        )
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {row["id"] for row in ground_truth[part]}
        strangers = {result[key] for result in results} - known
        if strangers:
            raise DataError(
                f"detections name {len(strangers)} {key} that the ground truth does not list under "
                f"{part}, such as {min(strangers, key=str)}. Score them against their own data set."
            )


def _mean(values: np.ndarray) -> float:
    """Mean over what is defined; -1 where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0
