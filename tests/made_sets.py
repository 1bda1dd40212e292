"""Small data sets on disk, and what makes two data sets the same."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from yolo_slim.data.dataset import Dataset, Sample

SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"


def picture(path: Path, width_px: int = 40, height_px: int = 30) -> Path:
    """Writes a grey picture, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, content = cv2.imencode(".png", np.full((height_px, width_px, 3), 90, np.uint8))
    path.write_bytes(content.tobytes())
    return path


def voc_object(name: str, box: tuple[object, ...], more: str = "") -> str:
    """<object> on a line of its own."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inside = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    return f"<object><name>{name}</name>{more}<bndbox>{inside}</bndbox></object>\n"


def voc_file(path: Path, *objects: str, head: str = SIZE) -> Path:
    """Writes VOC's XML: line 1 opens, line 2 has the head, each object has the next line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>\n{head}\n{''.join(objects)}</annotation>\n", encoding="utf-8")
    return path


def named_boxes(sample: Sample, names: tuple[str, ...]) -> list[tuple[object, ...]]:
    """(class name, left, top, right, bottom) of every box, in order."""
    return [
        (names[k], *map(float, box))
        for k, box in zip(sample.class_ids, sample.boxes_xyxy, strict=True)
    ]


def assert_same_boxes(
    one: Dataset, other: Dataset, atol_px: float = 1e-3, ids: bool = False, crowd: bool = True
) -> None:
    """Same classes and pictures by name, and in each the same boxes in the same order.

    ids: image and category ids and areas are the same, too. crowd: crowd boxes are in both; else
    `other` lacks those of `one`.
    """
    assert one.class_names == other.class_names
    if ids:
        assert one.category_ids == other.category_ids
    theirs = {sample.path.name: sample for sample in other.samples}
    assert len(theirs) == len(other) == len(one)
    for sample in one.samples:
        match = theirs[sample.path.name]
        kept = np.ones(len(sample), bool) if crowd else ~sample.crowd
        assert (sample.width_px, sample.height_px) == (match.width_px, match.height_px)
        np.testing.assert_array_equal(sample.class_ids[kept], match.class_ids)
        np.testing.assert_array_equal(sample.crowd[kept], match.crowd)
        np.testing.assert_allclose(sample.boxes_xyxy[kept], match.boxes_xyxy, rtol=0, atol=atol_px)
        if ids:
            assert sample.image_id == match.image_id
            np.testing.assert_allclose(sample.areas, match.areas, rtol=1e-6)


def boxed_pictures(folder: Path, n_pictures: int, side_px: int) -> None:
    """folder/pictures/N.png, square and of noise, a cat or a dog on each: folder/boxes.json."""
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    images, annotations = [], []
    box = [side_px / 8, side_px / 8, side_px * 0.56, side_px * 0.62]
    for number in range(n_pictures):
        name = f"{number}.png"
        pixels = random.integers(0, 256, (side_px, side_px, 3), np.uint8)
        cv2.imwrite(str(folder / "pictures" / name), pixels)
        size = {"width": side_px, "height": side_px}
        images.append({"id": number + 1, "file_name": name, **size})
        annotations.append(
            {"id": number + 1, "image_id": number + 1, "category_id": 1 + number % 2,
             "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        )  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(document))
