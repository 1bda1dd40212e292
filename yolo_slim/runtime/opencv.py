"""A Darknet pair in OpenCV's own engine, cv2.dnn, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from yolo_slim.cfg import Cfg, infer_shapes
from yolo_slim.errors import InputError
from yolo_slim.runtime.one_image import OneImageSession
from yolo_slim.runtime.session import Array


class OpencvSession(OneImageSession):
    """Runs STEM.cfg with STEM.weights, up to the maps that the heads read.

    cfg: what the pair was written from; it says how the maps are read.

    Raises InputError where OpenCV cannot read or run the pair. What it would compute otherwise
    than the cfg says is found by `opencv_reads.misread`, before the pair is written.
    """

    runtime = "opencv"

    def __init__(
        self, pair: tuple[Path, Path], cfg: Cfg, class_names: Sequence[str], threads: int
    ) -> None:
        super().__init__(cfg, class_names)
        shapes = infer_shapes(cfg)
        self.shapes = [(1, *shapes[index]) for index in cfg.output_indices]
        cv2.setNumThreads(threads)
        try:
            self.net = cv2.dnn.readNetFromDarknet(*map(str, pair))
            self.outputs = self._outputs()
            self.run_one(np.zeros((1, cfg.net.channels, *cfg.input_hw), np.float32))
        except (cv2.error, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].split("error: ")[-1][:200]
            raise InputError(f"{cfg.source}: OpenCV cannot run it ({reason})") from None

    def _outputs(self) -> list[str]:
        """The layer before each head; the last one of a classifier."""
        layers = list(self.net.getLayerNames())
        if not self.cfg.heads:
            return layers[-1:]
        # A head begins with a permutation that bears its number.
        return [layers[layers.index(f"permute_{i}") - 1] for i in self.cfg.head_indices]

    def run_one(self, image: Array) -> list[Array]:
        self.net.setInput(image)
        maps = zip(self.net.forward(self.outputs), self.shapes, strict=True)
        return [np.asarray(raw, np.float32).reshape(shape) for raw, shape in maps]
