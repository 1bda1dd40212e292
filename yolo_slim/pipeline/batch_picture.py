"""What a training really sees: a batch with its boxes, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from yolo_slim.data.loader import TrainingSet
from yolo_slim.detections import Detections
from yolo_slim.errors import DataError, InputError
from yolo_slim.files import whole_file
from yolo_slim.train.batches import EpochBatches
from yolo_slim.video.draw import draw

MAX_SHOWN = 16

TILE_PX = 480
"""A smaller input is enlarged to about this."""


def write_batch_picture(
    path: Path, data: TrainingSet, batch_size: int, seed: int, class_names: Sequence[str]
) -> None:
    """The first batch of the first epoch, up to 16 pictures side by side, boxes drawn in.

    Raises InputError for a name that is no picture's, DataError where nothing can be read.
    """
    first = next(iter(EpochBatches(data, batch_size, seed)))[:MAX_SHOWN]
    tiles = []
    for index in first:
        item = data[index]
        if isinstance(item, DataError):
            raise item
        tiles.append(_tile(item[0], item[1].numpy(), class_names))
    grid = _grid(tiles)
    try:
        good, encoded = cv2.imencode(path.suffix or ".jpg", grid)
    except cv2.error:
        good = False
    if not good:
        raise InputError(f"{path}: expected the name of a picture, as batch.jpg or batch.png")
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _tile(planes: torch.Tensor, targets: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """uint8 [3 or 1, h, w], red first, and targets [n, 5] -> uint8 [h, w, 3], blue first."""
    image = np.ascontiguousarray(planes.numpy()[::-1].transpose(1, 2, 0))
    if image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    times = max(1, round(TILE_PX / max(image.shape[:2])))  # so that a label hides little
    image = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    ones = np.ones(len(targets), np.float32)
    boxes_xyxy = (times * targets[:, 1:]).astype(np.float32)
    boxes = Detections(boxes_xyxy, ones, targets[:, 0].astype(np.int64))
    return draw(image, boxes, class_names, with_scores=False)


def _grid(tiles: Sequence[np.ndarray]) -> np.ndarray:
    columns = int(np.ceil(np.sqrt(len(tiles))))
    blank = np.zeros_like(tiles[0])
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    rows = [np.hstack(padded[at : at + columns]) for at in range(0, len(padded), columns)]
    return np.vstack(rows)
