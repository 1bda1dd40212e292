"""Anchors for a network from the boxes that it is to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from yolo_slim.cfg import Cfg
from yolo_slim.data.anchors import GENERATIONS, fit_anchors
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import DataError, InputError
from yolo_slim.geometry import ResizeMode, frame_for, to_input


def fitted_anchors(
    cfg: Cfg,
    dataset: Dataset,
    seed: int,
    generations: int = GENERATIONS,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[float, float]]:
    """As many anchors as `cfg` has, fitted to the boxes, in pixels of its input.

    They fit at least as well as those of `cfg`. An anchor that no head uses stays as it is; the
    others ascend by area. See `fit_anchors`.

    Raises InputError for heads with lists of their own.
    """
    first, *others = cfg.yolos
    if any(yolo.anchors_wh != first.anchors_wh for yolo in others):
        raise InputError(
            f"{cfg.source}: the [yolo] sections have different anchors: expected one list in all, "
            "of which mask= names those of each; or keep the anchors"
        )
    anchors = list(first.anchors_wh)
    slots = used_anchors(cfg)
    fitted = fit_anchors(
        box_sizes(dataset, cfg), len(slots), seed, generations, progress, chosen(cfg, anchors)
    )
    for slot, (w, h) in zip(slots, fitted.tolist(), strict=True):
        anchors[slot] = (w, h)
    return anchors


def used_anchors(cfg: Cfg) -> list[int]:
    """The numbers of the anchors that a head uses, ascending."""
    return sorted({slot for yolo in cfg.yolos for slot in yolo.mask})


def chosen(cfg: Cfg, anchors_wh: Sequence[tuple[float, float]]) -> np.ndarray:
    """Of all anchors of `cfg` those that a head uses, float64 [k, 2]."""
    return np.array(anchors_wh, np.float64)[used_anchors(cfg)]


def box_sizes(dataset: Dataset, cfg: Cfg) -> np.ndarray:
    """Width and height [n, 2] of every box in pixels of the network's input; see `sizes_at`."""
    return sizes_at(dataset, cfg.input_hw, cfg.resize_mode)


def sizes_at(dataset: Dataset, input_hw: tuple[int, int], mode: ResizeMode) -> np.ndarray:
    """Width and height [n, 2] of every box in pixels of an input of height and width `input_hw`.

    Crowd boxes, which are no targets, are left out. Raises DataError where there is no box.
    """
    sizes = []
    for sample in dataset.samples:
        frame = frame_for(mode, (sample.height_px, sample.width_px), input_hw)
        boxes = to_input(frame, sample.boxes_xyxy[~sample.crowd])
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    found = np.concatenate(sizes)
    if not len(found):
        raise DataError(f"{dataset.source} has no boxes to fit anchors to.")
    return found
