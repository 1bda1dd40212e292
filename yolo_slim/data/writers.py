"""Annotations written, a function a form; what each writes, its reader reads back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from yolo_slim.data.carried import parts_of
from yolo_slim.data.dataset import Dataset, Sample

LABELME_VERSION = "5.5.0"
"""What the files that are written say; labelme's own files have such a line."""


def write_voc(sample: Sample, names: tuple[str, ...], file: Path) -> None:
    """One picture as VOC's XML; coordinates have as many digits as a float32 needs."""
    objects = "".join(
        "\t<object>\n"
        f"\t\t<name>{escape(names[class_id])}</name>\n"
        "\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>{int(crowd)}</difficult>\n"
        "\t\t<bndbox>\n"
        + "".join(
            f"\t\t\t<{tag}>{_shortest(value)}</{tag}>\n"
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        + "\t\t</bndbox>\n\t</object>\n"
        for box, class_id, crowd in zip(
            sample.boxes_xyxy, sample.class_ids, sample.crowd, strict=True
        )
    )
    text = (
        "<annotation>\n"
        f"\t<folder>{escape(sample.path.parent.name)}</folder>\n"
        f"\t<filename>{escape(sample.path.name)}</filename>\n"
        f"\t<size>\n\t\t<width>{sample.width_px}</width>\n\t\t<height>{sample.height_px}</height>\n"
        "\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )
    file.write_text(text, encoding="utf-8")


def write_labelme(sample: Sample, names: tuple[str, ...], file: Path) -> None:
    """One picture as labelme's JSON, of rectangles; the pixels are not put into it."""
    shapes = [
        {
            "label": names[class_id],
            "points": [[_number(left), _number(top)], [_number(right), _number(bottom)]],
            "group_id": None,
            "description": "",
            "shape_type": "rectangle",
            "flags": {"iscrowd": True} if crowd else {},
        }
        for (left, top, right, bottom), class_id, crowd in zip(
            sample.boxes_xyxy, sample.class_ids, sample.crowd, strict=True
        )
    ]
    document: dict[str, Any] = {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": os.path.relpath(sample.path, file.parent),
        "imageData": None,
        "imageHeight": sample.height_px,
        "imageWidth": sample.width_px,
    }
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_yolo(sample: Sample, names: tuple[str, ...], file: Path) -> None:
    """One picture as YOLO's labels; an empty file for a picture without objects."""
    parts = parts_of(sample.boxes_xyxy, sample.width_px, sample.height_px).clip(0, 1)
    rows = [
        f"{class_id} " + " ".join(f"{value:.10f}".rstrip("0").rstrip(".") for value in row) + "\n"
        for class_id, row in zip(sample.class_ids, parts.tolist(), strict=True)
    ]
    file.write_text("".join(rows), encoding="utf-8")


def write_each(
    dataset: Dataset,
    images: Path,
    folder: Path,
    suffix: str,
    write: Callable[[Sample, tuple[str, ...], Path], None],
) -> None:
    """A file for each picture, below `folder` as the picture lies below `images`."""
    for sample in dataset.samples:
        file = folder / sample.path.relative_to(images).with_suffix(suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        write(sample, dataset.class_names, file)


def _shortest(value: np.float32) -> str:
    """The fewest digits that are read back as the same float32: 3.33, 12, 0.1."""
    return np.format_float_positional(value, trim="-")


def _number(value: np.float32) -> float | int:
    number = float(_shortest(value))
    return int(number) if number.is_integer() else number
