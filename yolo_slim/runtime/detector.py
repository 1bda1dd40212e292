"""Images in, Detections out, over any session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from yolo_slim.detections import Detections
from yolo_slim.geometry import ResizeMode, frame_for, render, to_blob, to_image
from yolo_slim.nn.decode import decode_all
from yolo_slim.nn.suppress import suppress
from yolo_slim.runtime.session import Session


@dataclass(frozen=True)
class Detector:
    """How a session's maps become detections.

    conf: a box counts for a class where objectness x class probability is above it.
    nms_iou: of two boxes of a class that overlap more, the better one stays.
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
        raws = [torch.from_numpy(raw) for raw in self.session.run(np.stack(blobs))]
        boxes, scores = decode_all(raws, cfg)  # [B, N, 4], [B, N, C]
        last = cfg.heads[-1]  # Darknet asks its last section
        results = []
        for frame, image_boxes, image_scores in zip(frames, boxes, scores, strict=True):
            kept, kept_scores, class_ids = suppress(
                image_boxes, image_scores, self.conf, self.nms_iou, self.max_detections,
                last.nms_kind, last.beta_nms,
            )  # fmt: skip
            results.append(
                Detections(
                    to_image(frame, kept.numpy()).astype(np.float32),
                    kept_scores.numpy().astype(np.float32),
                    class_ids.numpy(),
                )
            )
        return results
