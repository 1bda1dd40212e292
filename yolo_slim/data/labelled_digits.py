"""The 1,797 handwritten digits as they are: pictures of 8x8 pixels, a folder for each class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from yolo_slim.data.digits import split_digits
from yolo_slim.errors import DataError, InputError
from yolo_slim.files import whole_folder


def make_labelled_digits(out: Path, seed: int = 0) -> dict[str, int]:
    """Writes `out`/train and `out`/val, for `train CLASSIFIER --data`; the pictures of each split.

    seed: of the split. Raises InputError where `out` is there already, DataError where it cannot
    be written.
    """
    if out.exists():
        raise InputError(f"{out} exists: nothing was written; choose another --out")
    splits = split_digits(seed)
    try:
        with whole_folder(out) as folder:
            for split, (cells, class_ids) in splits.items():
                _write(folder / split, cells, class_ids)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error
    return {split: len(class_ids) for split, (_, class_ids) in splits.items()}


def _write(folder: Path, cells: np.ndarray, class_ids: np.ndarray) -> None:
    for number, (cell, class_id) in enumerate(zip(cells, class_ids, strict=True)):
        place = folder / str(class_id)
        place.mkdir(parents=True, exist_ok=True)
        picture = np.rint(255 * cell).astype(np.uint8)
        done, png = cv2.imencode(".png", picture)
        assert done
        (place / f"{number:04d}.png").write_bytes(png.tobytes())
