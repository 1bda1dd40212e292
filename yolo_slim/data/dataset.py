"""A detection data set as a value: every picture with its boxes, whatever file they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yolo_slim.errors import DataError

Row = tuple[float, float, float, float, int, bool, float | None]
"""One object while it is read: left, top, right, bottom, class id, crowd, area or None."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture and what is marked in it; the pixels stay on disk.

    width_px, height_px: size of the picture as stored (an EXIF orientation is not applied).
    boxes_xyxy: float32 [n, 4], left, top, right, bottom in pixels; right > left, bottom > top.
        They may reach over the border.
    class_ids: int64 [n], 0 to n_classes - 1.
    crowd: bool [n], true for a region of many objects that is neither a target nor a miss.
    areas: float32 [n], square pixels of the object; of its box where the file does not say.

    Raises ValueError where the arrays disagree.
    """

    path: Path
    image_id: int
    width_px: int
    height_px: int
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.class_ids)
        arrays = (self.boxes_xyxy, self.class_ids, self.crowd, self.areas)
        found = tuple(array.shape for array in arrays)
        expected = ((n, 4), (n,), (n,), (n,))
        if found != expected:
            raise ValueError(f"boxes, classes, crowd, areas: shapes {found}, expected {expected}")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"size {self.width_px}x{self.height_px}, expected 1x1 or more")

    def __len__(self) -> int:
        return len(self.class_ids)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples and the names of what is marked in them.

    source: what to call this data set in a message.
    class_names: class k is called class_names[k].
    category_ids: the number each class has in COCO files, ascending; class k is the k-th.
    notes: what was left out while reading, one sentence each, for a person.
    n_outlines: objects of which the file has a polygon or mask, too; only the box is read.

    Raises DataError where there is no picture at all, ValueError where names and ids disagree.
    """

    source: str
    samples: tuple[Sample, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    notes: tuple[str, ...] = ()
    n_outlines: int = 0

    def __post_init__(self) -> None:
        if not self.samples:
            raise DataError(f"{self.source} has 0 images, expected at least 1.")
        if len(self.class_names) != len(self.category_ids):
            raise ValueError(f"{len(self.class_names)} names, {len(self.category_ids)} ids")

    def __len__(self) -> int:
        return len(self.samples)


def sample_of(
    path: Path,
    image_id: int,
    size_wh: tuple[int, int],
    rows: Sequence[Row],
) -> tuple[Sample, int]:
    """A sample from its rows.

    Gives back the sample and how many boxes without width or height were left out: no detector
    can be asked for them, and pycocotools would divide by their area.
    """
    table = np.array([row[:4] for row in rows], np.float64).reshape(-1, 4)
    # What counts is the float32 box that is kept, not the number in the file.
    boxes_xyxy = table.astype(np.float32)
    solid = (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
    box_areas = (table[:, 2] - table[:, 0]) * (table[:, 3] - table[:, 1])
    areas = [box if row[6] is None else row[6] for row, box in zip(rows, box_areas, strict=True)]
    sample = Sample(
        path=path,
        image_id=image_id,
        width_px=size_wh[0],
        height_px=size_wh[1],
        boxes_xyxy=boxes_xyxy[solid],
        class_ids=np.array([row[4] for row in rows], np.int64)[solid],
        crowd=np.array([row[5] for row in rows], bool)[solid],
        areas=np.array(areas, np.float32)[solid],
    )
    return sample, int((~solid).sum())


def is_file(path: Path) -> bool:
    """Whether a file is there; False, not an error, for what cannot be the name of one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """The same of a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def flat_box_notes(n_flat: int) -> tuple[str, ...]:
    """The note for `n_flat` boxes left out by `sample_of`; none for none."""
    return (f"{n_flat} boxes without width or height were left out",) if n_flat else ()


def file_name(path: Path, images_folder: Path | None) -> str:
    """How COCO calls a picture: its place below a folder, or its bare name."""
    return path.name if images_folder is None else path.relative_to(images_folder).as_posix()


def coco_ground_truth(dataset: Dataset, images_folder: Path | None = None) -> dict[str, Any]:
    """The data set in COCO's form: images, annotations, categories, ready for pycocotools.

    images_folder: where `file_name` starts; without one it is the bare name of a picture.

    Box coordinates are rounded to a thousandth of a pixel, which gives the decimals of a COCO file
    back exactly although boxes are kept as float32. Annotations are numbered from 1, because
    pycocotools takes number 0 for "no match".
    """
    images = []
    annotations: list[dict[str, Any]] = []
    for sample in dataset.samples:
        images.append(
            {
                "id": sample.image_id,
                "file_name": file_name(sample.path, images_folder),
                "width": sample.width_px,
                "height": sample.height_px,
            }
        )
        left_top, right_bottom = np.split(sample.boxes_xyxy.astype(np.float64), 2, axis=1)
        boxes_xywh = np.concatenate([left_top, right_bottom - left_top], axis=1).round(3)
        for box_xywh, class_id, crowd, area in zip(
            boxes_xywh, sample.class_ids, sample.crowd, sample.areas, strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": sample.image_id,
                    "category_id": dataset.category_ids[class_id],
                    "bbox": box_xywh.tolist(),
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    categories = [
        {"id": category_id, "name": name}
        for category_id, name in zip(dataset.category_ids, dataset.class_names, strict=True)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}
