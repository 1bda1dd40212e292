"""Anchors for a network from the boxes that it is to find."""

from __future__ import annotations

import numpy as np

from yolo_slim.cfg import Cfg
from yolo_slim.data.anchors import fit_anchors
from yolo_slim.data.dataset import Dataset
from yolo_slim.geometry import frame_for, to_input


def fitted_anchors(cfg: Cfg, dataset: Dataset, seed: int) -> list[tuple[float, float]]:
    """As many anchors as `cfg` has, k-means over the boxes, in pixels of its input."""
    fitted = fit_anchors(box_sizes(dataset, cfg), len(cfg.yolos[0].anchors_wh), seed)
    return [(w, h) for w, h in fitted.tolist()]


def box_sizes(dataset: Dataset, cfg: Cfg) -> np.ndarray:
    """Width and height [n, 2] of every box in pixels of the network's input."""
    sizes = []
    for sample in dataset.samples:
        frame = frame_for(cfg.resize_mode, (sample.height_px, sample.width_px), cfg.input_hw)
        boxes = to_input(frame, sample.boxes_xyxy)
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    return np.concatenate(sizes)
