"""What is left of overlapping boxes: Darknet's kinds of non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from yolo_slim.cfg.heads import NmsKind

MAX_CANDIDATES = 30_000
"""Boxes per image that enter non-maximum suppression, best first."""

FARTHEST_PX = 1e8
"""From the origin; where boxes are compared what lies beyond counts as this: a thousand classes of
such boxes leave float64 a ten-thousandth of a pixel."""


@dataclass(frozen=True)
class Suppression:
    """Which boxes are left; the numbers mean what they do for `suppress`.

    Raises ValueError for shares outside 0..1, and for no detections at all.
    """

    conf: float = 0.005
    nms_iou: float = 0.45
    max_detections: int = 300

    def __post_init__(self) -> None:
        if not (0 <= self.conf <= 1 and 0 <= self.nms_iou <= 1 and self.max_detections >= 1):
            raise ValueError(
                f"conf={self.conf}, nms_iou={self.nms_iou}, max_detections={self.max_detections}: "
                "expected 0..1, 0..1 and 1 or more"
            )


def suppress(
    boxes_xyxy: Tensor,
    scores: Tensor,
    conf: float,
    nms_iou: float,
    max_detections: int,
    kind: NmsKind = "default",
    beta: float = 0.6,
) -> tuple[Tensor, Tensor, Tensor]:
    """One image's boxes [N, 4] and scores [N, C] -> (boxes [n, 4], scores [n], class ids [n]).

    Every (box, class) pair above `conf` counts; greedy suppression within a class; best first.

    kind: 'default' and 'greedynms' drop a box whose IoU with a better one is above `nms_iou`;
    'diounms' lowers that IoU by (d / c)^beta first, where d is the squared distance of the centres
    and c the squared diagonal of the box around both (Zheng et al., Distance-IoU Loss, 2020; the
    exponent is AlexeyAB's beta_nms).
    """
    rows, class_ids = torch.nonzero(scores > conf, as_tuple=True)
    pair_scores = scores[rows, class_ids]
    if len(pair_scores) > MAX_CANDIDATES:
        pair_scores, best = pair_scores.topk(MAX_CANDIDATES)
        rows, class_ids = rows[best], class_ids[best]
    pair_boxes = boxes_xyxy[rows]
    if kind == "diounms":
        kept = _diou_nms(pair_boxes, pair_scores, class_ids, nms_iou, beta, max_detections)
    else:
        kept = _greedy_nms(pair_boxes, pair_scores, class_ids, nms_iou)[:max_detections]
    return pair_boxes[kept], pair_scores[kept], class_ids[kept]


def _greedy_nms(boxes: Tensor, scores: Tensor, class_ids: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes that stay, best first.

    torchvision moves each class beside the one before, by the largest coordinate of all: in float32
    one huge box takes the pixels from the others, and what is negative lies in another class.
    """
    if not len(boxes):
        return class_ids
    apart = boxes.double().clamp(-FARTHEST_PX, FARTHEST_PX)
    kept: Tensor = batched_nms(apart - apart.min(), scores.double(), class_ids, threshold)
    return kept


def distance_iou(box_xyxy: Tensor, others_xyxy: Tensor, beta: float) -> Tensor:
    """IoU - (d / c)^beta of one box [4] with others [n, 4] -> [n]."""
    iou = box_iou(box_xyxy[None], others_xyxy)[0]
    centre, centres = (
        (box_xyxy[:2] + box_xyxy[2:]) / 2,
        (others_xyxy[:, :2] + others_xyxy[:, 2:]) / 2,
    )
    around = torch.maximum(box_xyxy[2:], others_xyxy[:, 2:]) - torch.minimum(
        box_xyxy[:2], others_xyxy[:, :2]
    )
    diagonal = around.square().sum(dim=1)
    distance = (centres - centre).square().sum(dim=1)
    penalty = torch.where(diagonal > 0, distance / diagonal.clamp(min=1e-12), 0.0) ** beta
    return torch.where(diagonal > 0, iou - penalty, iou)


def _diou_nms(
    boxes: Tensor, scores: Tensor, class_ids: Tensor, threshold: float, beta: float, most: int
) -> Tensor:
    """Indices of the boxes that stay, best first, at most `most`."""
    order = scores.argsort(descending=True, stable=True)
    kept: list[Tensor] = []
    while len(order) and len(kept) < most:
        best, rest = order[0], order[1:]
        kept.append(best)
        rivals = class_ids[rest] == class_ids[best]
        lost = rivals & (distance_iou(boxes[best], boxes[rest], beta) > threshold)
        order = rest[~lost]
    return torch.stack(kept) if kept else order
