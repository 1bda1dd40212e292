"""Images in, Detections out, over any session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yolo_slim.detections import Detections
from yolo_slim.geometry import ResizeMode, frame_for, render, to_blob, to_image
from yolo_slim.nn.decode import decode_all
from yolo_slim.nn.suppress import suppress
from yolo_slim.runtime.session import Session


@dataclass(frozen=True)
class Detector:
    """How what a session gives becomes detections.

    conf: a box counts for a class where objectness x class probability is above it.
    nms_iou: of two boxes of a class that overlap more, the better one stays. A session that gives
    detections has decided that by itself.
    max_detections: boxes kept per image, best first.
    resize_mode: 'stretch' or 'letterbox'; None takes what the cfg says.
    """

    session: Session
    conf: float = 0.005
    nms_iou: float = 0.45
    max_detections: int = 300
    resize_mode: ResizeMode | None = None

    def __call__(self, images_bgr: Sequence[np.ndarray]) -> list[Detections]:
        """uint8 images [H, W, 3], of any sizes -> one Detections an image."""
        cfg = self.session.cfg
        mode = self.resize_mode or cfg.resize_mode
        frames = [frame_for(mode, image.shape[:2], cfg.input_hw) for image in images_bgr]
        blobs = [
            to_blob(render(image, frame, cfg.input_hw), cfg.net.channels)
            for image, frame in zip(images_bgr, frames, strict=True)
        ]
        given = [torch.from_numpy(tensor) for tensor in self.session.run(np.stack(blobs))]
        return [
            Detections(
                to_image(frame, boxes.numpy()).astype(np.float32),
                scores.numpy().astype(np.float32),
                class_ids.numpy(),
            )
            for frame, (boxes, scores, class_ids) in zip(
                frames, self._kept(given, len(frames)), strict=True
            )
        ]

    def _kept(self, given: list[Tensor], n_images: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Boxes, scores and class ids that are left in each image, best first."""
        if self.session.answer == "detections":  # suppressed; what is less sure may still go
            (rows,) = given
            rows = rows[rows[:, 5] > self.conf]
            rows = rows[rows[:, 5].argsort(descending=True, stable=True)]
            for number in range(n_images):
                mine = rows[rows[:, 0] == number][: self.max_detections]
                yield mine[:, 1:5], mine[:, 5], mine[:, 6].long()
            return
        cfg = self.session.cfg
        all_boxes, all_scores = given if self.session.answer == "boxes" else decode_all(given, cfg)
        last = cfg.heads[-1]  # Darknet asks its last section
        for boxes, scores in zip(all_boxes, all_scores, strict=True):
            yield suppress(
                boxes, scores, self.conf, self.nms_iou, self.max_detections,
                last.nms_kind, last.beta_nms,
            )  # fmt: skip
