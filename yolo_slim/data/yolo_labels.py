"""YOLO's text labels: one file a picture, one object a line, in parts of the picture's size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolo_slim.data.dataset import Dataset, Row, Sample, flat_box_notes, is_file, sample_of
from yolo_slim.data.image import read_size
from yolo_slim.data.pictures import Progress, read_lines, tracked
from yolo_slim.data.plain_number import plain_float
from yolo_slim.errors import DataError

# Labels written with few digits reach a little over the border.
_SLACK = 0.01


@dataclass(frozen=True)
class RowForm:
    """What else than `class cx cy w h` a row may be; each becomes the box around it.

    polygons: `class x1 y1 x2 y2 x3 y3 ...`, three points or more.
    n_keypoint_values: this many numbers after a box, of a pose; 0 for none.
    """

    polygons: bool = False
    n_keypoint_values: int = 0

    @property
    def expected(self) -> str:
        return "`class cx cy w h`" + (" or `class x1 y1 x2 y2 ...`" if self.polygons else "")


@dataclass
class LabelReader:
    """Reads label files of `n_classes` classes; counts on its way what notes need."""

    n_classes: int
    form: RowForm = RowForm()
    n_flat: int = 0
    n_polygons: int = 0
    n_poses: int = 0
    without_label: list[Path] = field(default_factory=list)

    def sample(self, path: Path, label: Path, image_id: int) -> Sample:
        """One picture and the boxes of its label file; none where that is missing.

        Raises DataError naming file and line.
        """
        width_px, height_px = read_size(path)
        rows: list[Row] = []
        if is_file(label):
            for number, line in enumerate(read_lines(label), 1):
                if line.strip():
                    class_id, box = self._row(line, f"{label}:{number}")
                    left, top, right, bottom = box
                    rows.append((left * width_px, top * height_px, right * width_px,
                                 bottom * height_px, class_id, False, None))  # fmt: skip
        else:
            self.without_label.append(label)
        sample, flat = sample_of(path, image_id, (width_px, height_px), rows)
        self.n_flat += flat
        return sample

    def dataset(
        self,
        source: str,
        pairs: Sequence[tuple[Path, Path]],
        names: Sequence[str],
        progress: Progress | None = None,
        notes: Sequence[str] = (),
    ) -> Dataset:
        """The data set of (picture, label file) pairs, pictures and categories numbered from 1.

        Raises DataError where none of the pictures has a label file, and for faults in one.
        """
        samples = [
            self.sample(path, label, image_id)
            for image_id, (path, label) in enumerate(tracked(pairs, progress), 1)
        ]
        if samples and len(self.without_label) == len(samples):
            raise DataError(
                f"{source}: none of {len(samples)} pictures has a label file; the first was looked "
                f"for at {self.without_label[0]}."
            )
        found = [*notes, *self._notes(), *flat_box_notes(self.n_flat)]
        ids = tuple(range(1, len(names) + 1))
        return Dataset(
            source, tuple(samples), tuple(names), ids, tuple(found), n_outlines=self.n_polygons
        )

    def _notes(self) -> list[str]:
        notes = []
        if self.n_polygons:
            notes.append(f"{self.n_polygons} polygons became the boxes around them")
        if self.n_poses:
            notes.append(f"the keypoints of {self.n_poses} objects were left out")
        return notes

    def _row(self, line: str, where: str) -> tuple[int, tuple[float, float, float, float]]:
        words = line.split()
        try:
            class_id = _whole(words[0])
            values = [plain_float(word) for word in words[1:]]
        except ValueError as error:
            raise self._unreadable(line, where) from error
        if not 0 <= class_id < self.n_classes:
            raise DataError(f"{where} has class {class_id}, expected 0 to {self.n_classes - 1}.")
        if self.form.n_keypoint_values and len(values) == 4 + self.form.n_keypoint_values:
            self.n_poses += 1
            values = values[:4]
        is_polygon = self.form.polygons and len(values) >= 6 and len(values) % 2 == 0
        if len(values) != 4 and not is_polygon:
            raise self._unreadable(line, where)
        for value in values:
            if not (math.isfinite(value) and -_SLACK <= value <= 1 + _SLACK):
                raise DataError(
                    f"{where} has {value:g}, expected parts of width and height, 0 to 1 (not "
                    "pixels)."
                )
        if is_polygon:
            self.n_polygons += 1
            xs, ys = values[::2], values[1::2]
            return class_id, (min(xs), min(ys), max(xs), max(ys))
        cx, cy, w, h = values
        return class_id, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)

    def _unreadable(self, line: str, where: str) -> DataError:
        text = line.strip()
        shown = text if len(text) <= 60 else text[:60] + "..."
        return DataError(f"{where} reads `{shown}`, expected {self.form.expected}.")


def _whole(word: str) -> int:
    """A class number; some programs write it as 3.0. ValueError for anything else."""
    value = plain_float(word)
    if not value.is_integer():
        raise ValueError(word)
    return int(value)
