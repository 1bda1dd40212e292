"""What a detector says about an image: the value between runtimes, metrics and drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """Boxes of one image, best score first where a detector made them.

    boxes_xyxy: float32 [n, 4], left, top, right, bottom in pixels of the original image; they may
        reach over its border.
    scores: float32 [n], 0 to 1.
    class_ids: int64 [n], 0 to n_classes - 1.

    Raises ValueError where the three disagree.

    >>> Detections.empty().boxes_xyxy.shape
    (0, 4)
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.scores)
        found = (self.boxes_xyxy.shape, self.scores.shape, self.class_ids.shape)
        expected = ((n, 4), (n,), (n,))
        if found != expected:
            raise ValueError(f"boxes, scores, class_ids have shapes {found}, expected {expected}")
        if n and not (np.isfinite(self.boxes_xyxy).all() and np.isfinite(self.scores).all()):
            raise ValueError("boxes and scores must be finite numbers")
        if n and not (self.scores.min() >= 0 and self.scores.max() <= 1):
            raise ValueError(
                f"scores reach {self.scores.min()}..{self.scores.max()}, expected 0..1"
            )
        if n and self.class_ids.min() < 0:
            raise ValueError(f"class ids reach down to {self.class_ids.min()}, expected 0 or more")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: np.ndarray | slice) -> Detections:
        return Detections(self.boxes_xyxy[index], self.scores[index], self.class_ids[index])

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
