"""A data check as a page and as a document: the findings, the numbers, the worst pictures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

import yolo_slim
from yolo_slim.data.check.finding import KINDS, Finding
from yolo_slim.data.check.rows import RawImage, RawSplit
from yolo_slim.data.check.run import Outcome
from yolo_slim.data.check.statistics import SplitStatistics, quantiles
from yolo_slim.data.image import read_image
from yolo_slim.detections import Detections
from yolo_slim.errors import DataError
from yolo_slim.findings import by_kind, severities
from yolo_slim.report.check_page import CheckPage, KindRow
from yolo_slim.report.plots import Figure, count_bars, share_histogram
from yolo_slim.video.draw import draw

MOST_PICTURES = 24
MOST_LISTED = 200
_PICTURES_A_KIND = 4
_DRAWN_PX = 480
_RED_BGR = (40, 40, 230)
_MARGIN_GREY = (190, 190, 190)
# Notes that a person wants to see all the same; of other notes there is nothing to be seen.
_SHOWN_NOTES = ("near-duplicate picture", "two classes in one place")


def check_document(outcome: Outcome) -> dict[str, Any]:
    """Everything, as --json writes it."""
    groups = by_kind(outcome.findings, KINDS)
    return {
        **{f"{severity}s": n for severity, n in severities(outcome.findings).items()},
        "kinds": {kind: len(found) for kind, found in groups.items()},
        "splits": {numbers.split: numbers.document() for numbers in outcome.statistics},
        "findings": [finding.document() for group in groups.values() for finding in group],
    }


def check_page(outcome: Outcome, source: str, seconds: float) -> CheckPage:
    """The page of a check of `source` that took `seconds`."""
    numbers = outcome.statistics
    counted = severities(outcome.findings)
    n_pictures = len(outcome.evidence.pictures)
    height, width = outcome.evidence.input_hw
    return CheckPage(
        title="Data check",
        summary=told(outcome),
        cards={
            **{f"{severity.capitalize()}s": str(n) for severity, n in counted.items()},
            "Pictures": str(n_pictures),
            "Boxes": str(sum(split.n_boxes for split in numbers)),
        },
        kinds=[
            KindRow(
                KINDS[kind].severity,
                kind,
                len(found),
                KINDS[kind].advice,
                [(finding.where(), finding.found) for finding in found[:MOST_LISTED]],
            )
            for kind, found in by_kind(outcome.findings, KINDS).items()
        ],
        splits=[_HEAD, *(_row(split) for split in numbers)],
        plots=_plots(numbers),
        pictures=list(worst_pictures(outcome)),
        circumstances={
            "data": source,
            "input": f"{width}x{height} px, {outcome.evidence.resize_mode}",
            "read": f"{n_pictures} pictures in {seconds:.1f} s",
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "yolo_slim": yolo_slim.__version__,
        },
    )


def told(outcome: Outcome) -> str:
    """The outcome in a sentence."""
    counted = severities(outcome.findings)
    parts = [f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in counted.items()]
    n_boxes = sum(split.n_boxes for split in outcome.statistics)
    return f"{', '.join(parts)} in {len(outcome.evidence.pictures)} pictures with {n_boxes} boxes."


def worst_pictures(outcome: Outcome) -> Iterator[tuple[str, np.ndarray]]:
    """(caption, uint8 [H, W, 3] BGR) of some pictures of each kind, the gravest kinds first."""
    findings = _by_picture(outcome)
    entries = {
        (split.split, image.name): (split, image) for split, image, _ in outcome.evidence.entries()
    }
    for key in _chosen(outcome)[:MOST_PICTURES]:
        twins = dict.fromkeys(f.twin for f in findings[key] if f.twin)
        try:
            shown = _beside(
                [
                    _drawn(*entries[place], {f.annotation for f in findings.get(place, ())})
                    for place in [key, *twins][:2]
                ]
            )
        except DataError:  # of a broken picture there is nothing to show
            continue
        reasons = "; ".join(dict.fromkeys(f"{f.kind}: {f.found}" for f in findings[key][:3]))
        yield f"{key[0]}: {key[1]}. {reasons}", shown


def _by_picture(outcome: Outcome) -> dict[tuple[str, str], list[Finding]]:
    found: dict[tuple[str, str], list[Finding]] = {}
    for group in by_kind(outcome.findings, KINDS).values():
        for finding in group:
            if finding.file is not None:
                found.setdefault((finding.split, finding.file), []).append(finding)
    return found


def _chosen(outcome: Outcome) -> list[tuple[str, str]]:
    """(split, file) of some pictures that can be opened, a few for each kind."""
    readable = {
        (split.split, image.name)
        for split, image, picture in outcome.evidence.entries()
        if not (picture.missing or picture.fault)
    }
    chosen: dict[tuple[str, str], None] = {}
    for kind, found in by_kind(outcome.findings, KINDS).items():
        if KINDS[kind].severity == "note" and kind not in _SHOWN_NOTES:
            continue
        keys = dict.fromkeys((f.split, f.file) for f in found if f.file is not None)
        fresh = [key for key in keys if key in readable and key not in chosen]
        chosen |= dict.fromkeys(fresh[:_PICTURES_A_KIND])
    return list(chosen)


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures side by side, as high as the first."""
    height = pictures[0].shape[0]
    scaled = [
        cv2.resize(picture, (max(1, round(picture.shape[1] * height / picture.shape[0])), height))
        for picture in pictures
    ]
    return np.hstack(scaled)


def _drawn(split: RawSplit, image: RawImage, marked: set[int | None]) -> np.ndarray:
    """The picture, small, with its boxes; those of the annotations `marked` in red."""
    picture = read_image(image.path)
    height, width = picture.shape[:2]
    scale = min(1.0, _DRAWN_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    corners = np.array([box.box_xyxy for box in image.boxes], np.float32).reshape(-1, 4) * scale
    is_marked = np.array([box.annotation in marked for box in image.boxes], bool)
    # A box that reaches over the border needs some room, yet not more than a quarter.
    over = np.abs(corners[is_marked] - np.clip(corners[is_marked], 0, [*size, *size]))
    room = int(np.ceil(min(over.max(initial=0), max(size) / 4)))
    if room:
        small = cv2.copyMakeBorder(
            small, room, room, room, room, cv2.BORDER_CONSTANT, value=_MARGIN_GREY
        )
        corners = corners + room
    classes = np.array([box.class_id for box in image.boxes], np.int64)
    others = Detections(corners, np.ones(len(corners), np.float32), classes)[~is_marked]
    canvas = draw(small, others, split.class_names, with_scores=False)
    for left, top, right, bottom in corners[is_marked].round().astype(int).tolist():
        far = (max(right, left), max(bottom, top))
        # On white, which no class has for its colour.
        for colour, line_px in (((255, 255, 255), 5), (_RED_BGR, 2)):
            cv2.rectangle(canvas, (left, top), far, colour, line_px)
    return canvas


_HEAD = (
    "Split", "Images", "Boxes", "Classes", "Largest : smallest", "Small", "Medium", "Large",
    "Size", "Aspect",
)  # fmt: skip


def _row(numbers: SplitStatistics) -> list[str]:
    used = sum(n > 0 for n in numbers.classes.values())
    shares = [f"{share:.0%}" for share in numbers.coco_shares or ()] or ["–"] * 3
    return [
        numbers.split,
        str(numbers.n_images),
        str(numbers.n_boxes),
        f"{used} of {len(numbers.classes)}",
        f"{numbers.imbalance:.1f}" if numbers.imbalance else "–",
        *shares,
        _three(numbers.relative_sizes),
        _three(numbers.aspects),
    ]


def _three(values: np.ndarray) -> str:
    found = quantiles(values)
    return " ".join(f"{found[q]:.2f}" for q in ("0.05", "0.5", "0.95")) if found else "–"


def _plots(numbers: tuple[SplitStatistics, ...]) -> dict[str, Figure]:
    if not any(sum(split.classes.values()) for split in numbers):
        return {}
    sizes = {split.split: split.relative_sizes for split in numbers}
    aspects = {split.split: split.aspects for split in numbers}
    return {
        "Boxes of each class": count_bars({s.split: s.classes for s in numbers}, "boxes"),
        "Box sizes": share_histogram(sizes, "√(box area / picture area), log scale", log=True),
        "Aspect ratios": share_histogram(aspects, "width / height, log scale", log=True),
    }
