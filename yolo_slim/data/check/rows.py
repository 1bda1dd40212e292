"""Annotations as they are written, faults and all; what the checks look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.picture import Picture
from yolo_slim.geometry import ResizeMode


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as it is written: `right` may be left of `left`, and all may lie outside.

    annotation: its position in the list of annotations. box_xyxy: pixels. class_id: 0, 1, ...
    """

    annotation: int
    box_xyxy: tuple[float, float, float, float]
    class_id: int
    crowd: bool = False

    @property
    def is_flat(self) -> bool:
        left, top, right, bottom = self.box_xyxy
        return not (right > left and bottom > top)


@dataclass(frozen=True, slots=True)
class RawImage:
    """An entry for a picture; name: as COCO annotations call it, else its place below the folder
    that all lie in; size_wh: as the annotations say, in pixels, None where they do not."""

    name: str
    path: Path
    size_wh: tuple[int, int] | None
    boxes: tuple[RawBox, ...]


@dataclass(frozen=True)
class RawSplit:
    """One set of pictures with what is marked in them.

    split: 'train', 'val' or 'data'. source: the file or folder of the annotations.
    findings: what was found while reading.
    """

    split: str
    source: str
    images: tuple[RawImage, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def n_boxes(self) -> int:
        return sum(len(image.boxes) for image in self.images)


@dataclass(frozen=True)
class Evidence:
    """All that the checks look at.

    pictures: what was found in the file of each path that some entry names.
    input_hw, resize_mode: how a picture becomes an input of the network.
    """

    splits: tuple[RawSplit, ...]
    pictures: Mapping[Path, Picture]
    input_hw: tuple[int, int] = (416, 416)
    resize_mode: ResizeMode = "stretch"

    def entries(self) -> Iterator[tuple[RawSplit, RawImage, Picture]]:
        for split in self.splits:
            for image in split.images:
                yield split, image, self.pictures[image.path]

    def sized_entries(self) -> Iterator[tuple[RawSplit, RawImage, tuple[int, int]]]:
        """The entries whose (width, height) is known: from the annotations, else from the file."""
        for split, image, picture in self.entries():
            size_wh = image.size_wh or picture.size_wh
            if size_wh is not None:
                yield split, image, size_wh
