"""A session that takes one image at a time, whatever the size of the batch."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from yolo_slim.runtime.session import Array, Session


class OneImageSession(Session):
    """Runs the images of a batch one after the other."""

    def run(self, images: Array) -> list[Array]:
        if len(images) == 1:
            return self.run_one(images)
        parts = [self.run_one(images[i : i + 1]) for i in range(len(images))]
        return [np.concatenate(maps) for maps in zip(*parts, strict=True)]

    @abstractmethod
    def run_one(self, image: Array) -> list[Array]:
        """image float32 [1, C, H, W], RGB, 0..1 -> the raw map of each head, float32."""
