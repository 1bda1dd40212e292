"""YOLOv3's loss: where (box), whether (objectness), what (classes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from yolo_slim.cfg import BoxLoss, Cfg, HeadKeys, Yolo, head_keys
from yolo_slim.nn.decode import decode_boxes, not_half, split_raw
from yolo_slim.nn.overlap import best_overlap, paired_iou
from yolo_slim.processes import mean_over_processes
from yolo_slim.train.box_loss import WEIGHTS, box_loss
from yolo_slim.train.ranges import require
from yolo_slim.train.targets import HeadTargets, assign

FOCAL_GAMMA = 2.0
"""Of a cfg's focal_loss=1 (Lin et al., 2017)."""


@dataclass(frozen=True)
class LossSettings:
    """What is minimised; None takes what the cfg says.

    box: the measure of a box; None takes the cfg's `iou_loss`, and 'ciou' where it is silent.
    box_weight: of the box term; None takes 1 for 'mse' and 5 for the others. objectness_weight and
    class_weight come on top of the cfg's `obj_normalizer` and `cls_normalizer`.
    objectness: what a responsible prediction is to answer: 'one', or the 'iou' of its box; None
    takes 'iou' where the cfg says `objectness_smooth=1`.
    label_smoothing: class targets are eps / 2 and 1 - eps / 2, 0 to 1.
    focal_gamma: answers count (1 - their probability to be right) ^ gamma; 0 counts all alike.
    cells: which look for an object: that of its centre, or its nearest 'neighbours', too, as far
    as the cfg's scale_x_y lets their boxes reach it.
    per: 'object' divides by the responsible predictions, 'image' by the pictures, as Darknet does.
    """

    box: BoxLoss | None = None
    box_weight: float | None = None
    objectness_weight: float = 1.0
    class_weight: float = 1.0
    objectness: Literal["one", "iou"] | None = None
    label_smoothing: float | None = None
    focal_gamma: float | None = None
    per: Literal["object", "image"] = "object"
    cells: Literal["own", "neighbours"] = "own"

    def __post_init__(self) -> None:
        smoothing, gamma, weight = self.label_smoothing, self.focal_gamma, self.box_weight
        require(
            {
                "box-weight": (weight, weight is None or 0 <= weight < 1e6, "0 to below 1e6"),
                "label-smoothing": (
                    smoothing, smoothing is None or 0 <= smoothing < 1, "0 to below 1",
                ),
                "focal-gamma": (gamma, gamma is None or 0 <= gamma <= 10, "0 to 10"),
            }
        )  # fmt: skip


@dataclass(frozen=True)
class _HeadLoss:
    """The settings for one head, with nothing left open."""

    box: BoxLoss
    box_weight: float
    objectness_weight: float
    class_weight: float
    towards_iou: bool
    label_smoothing: float
    focal_gamma: float


def detection_loss(
    raws: Sequence[Tensor], targets: Tensor, cfg: Cfg, settings: LossSettings | None = None
) -> dict[str, Tensor]:
    """The terms 'box', 'objectness', 'classes', weighted; their sum is what is minimised.

    raws: the head's maps [B, A * (5 + C), H, W]. targets [N, 6]: image, class, x1, y1, x2, y2 in
    pixels of the input. A prediction that overlaps an object by more than the cfg's
    `ignore_thresh` without being responsible for it is neither right nor wrong.

    With several processes the number of responsible predictions is that of all of them, so that
    their mean gradient is that of one process with all the images.
    """
    settings = settings or LossSettings()
    grids_hw = [(raw.shape[2], raw.shape[3]) for raw in raws]
    assigned = assign(targets, cfg, grids_hw, settings.cells == "neighbours")
    maps = [split_raw(not_half(raw), yolo) for raw, yolo in zip(raws, cfg.yolos, strict=True)]
    boxes = [decode_boxes(m, yolo, cfg.input_hw) for m, yolo in zip(maps, cfg.yolos, strict=True)]
    overlaps = _best_overlaps(boxes, targets)
    total = {name: maps[0].new_zeros(()) for name in ("box", "objectness", "classes")}
    for yolo, keys, grid_hw, parts, boxes_xyxy, overlap, head in zip(
        cfg.yolos, head_keys(cfg), grids_hw, maps, boxes, overlaps, assigned, strict=True
    ):
        how = _resolve(settings, keys, yolo)
        where = (head.image, head.anchor, head.row, head.column)
        found, found_xyxy = parts[where], boxes_xyxy[where]
        where_loss = box_loss(how.box, found, found_xyxy, head, yolo, cfg, grid_hw).sum()
        total["box"] = total["box"] + how.box_weight * where_loss
        total["objectness"] = total["objectness"] + how.objectness_weight * _objectness(
            parts, found_xyxy, overlap, head, yolo, how
        )
        wanted = class_targets(head, yolo.classes, grid_hw, len(yolo.mask))
        wanted = wanted * (1 - how.label_smoothing) + how.label_smoothing / 2
        what_loss = _bce(found[:, 5:], wanted, yolo, how.focal_gamma).sum()
        total["classes"] = total["classes"] + how.class_weight * what_loss
    if settings.per == "object":
        n_objects = sum(len(head.image) for head in assigned)
        divisor = mean_over_processes(n_objects, targets.device, least_in_all=1)
    else:
        divisor = float(len(raws[0]))
    return {name: term / divisor for name, term in total.items()}


def class_targets(
    head: HeadTargets, n_classes: int, grid_hw: tuple[int, int], n_anchors: int
) -> Tensor:
    """Multi-label targets [P, C], 0 or 1: two objects at one place and anchor are both right."""
    one_hot = F.one_hot(head.class_ids, n_classes).to(head.boxes_xyxy.dtype)
    place = head.places((n_anchors, *grid_hw))
    _, group = torch.unique(place, return_inverse=True)
    labels = one_hot.new_zeros(len(place), n_classes)
    return labels.index_add(0, group, one_hot).clamp(max=1)[group]


def _resolve(settings: LossSettings, keys: HeadKeys, yolo: Yolo) -> _HeadLoss:
    box = settings.box or keys.iou_loss or "ciou"
    wants_iou = yolo.objectness_smooth
    if settings.objectness is not None:
        wants_iou = settings.objectness == "iou"
    smoothing, gamma = settings.label_smoothing, settings.focal_gamma
    return _HeadLoss(
        box,
        WEIGHTS[box] if settings.box_weight is None else settings.box_weight,
        settings.objectness_weight * keys.obj_normalizer,
        settings.class_weight * keys.cls_normalizer,
        wants_iou,
        keys.label_smooth_eps if smoothing is None else smoothing,
        (FOCAL_GAMMA if keys.focal_loss else 0.0) if gamma is None else gamma,
    )


def _objectness(
    parts: Tensor, found_xyxy: Tensor, overlap: Tensor, head: HeadTargets, yolo: Yolo,
    how: _HeadLoss,
) -> Tensor:  # fmt: skip
    where = (head.image, head.anchor, head.row, head.column)
    with torch.no_grad():
        counts = overlap <= yolo.ignore_thresh
        counts[where] = True
        right = paired_iou(found_xyxy, head.boxes_xyxy)
        right = right if how.towards_iou else torch.ones_like(right)
        # Of two objects at one place the better answer counts, whatever their order.
        wanted = right.new_zeros(counts.numel())
        wanted.scatter_reduce_(0, head.places(parts.shape[1:4]), right, "amax")
        wanted = wanted.view(counts.shape)
    return (_bce(parts[..., 4], wanted, yolo, how.focal_gamma) * counts).sum()


def _best_overlaps(boxes: Sequence[Tensor], targets: Tensor) -> list[Tensor]:
    """`best_overlap` of each head's boxes [B, A, H, W, 4] -> [B, A, H, W], asked once for all."""
    with torch.no_grad():
        found = best_overlap(torch.cat([b.flatten(1, 3) for b in boxes], dim=1), targets)
    sizes = [b[0, ..., 0].numel() for b in boxes]
    return [
        f.view(b.shape[:4]) for f, b in zip(torch.split(found, sizes, dim=1), boxes, strict=True)
    ]


def _bce(predicted: Tensor, wanted: Tensor, yolo: Yolo, focal_gamma: float) -> Tensor:
    """Binary cross-entropy an element; with new_coords the map holds probabilities already."""
    if yolo.new_coords:
        probability = predicted.clamp(1e-6, 1 - 1e-6)
        loss = F.binary_cross_entropy(probability, wanted, reduction="none")
    else:
        loss = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none")
        probability = predicted.sigmoid() if focal_gamma else predicted
    if not focal_gamma:
        return loss
    wrong = wanted * (1 - probability) + (1 - wanted) * probability
    return loss * wrong**focal_gamma
