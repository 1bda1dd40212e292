"""How wrong a box is: YOLOv3's own measure, and those by overlap."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from yolo_slim.cfg import BoxLoss, Cfg, Yolo
from yolo_slim.nn.overlap import paired_iou
from yolo_slim.train.targets import HeadTargets

WEIGHTS: dict[BoxLoss, float] = {"mse": 1.0, "iou": 5.0, "giou": 5.0, "diou": 5.0, "ciou": 5.0}
"""Of the box term beside objectness and classes, where nobody asks for another."""


def box_loss(
    kind: BoxLoss, parts: Tensor, boxes_xyxy: Tensor, head: HeadTargets, yolo: Yolo, cfg: Cfg,
    grid_hw: tuple[int, int],
) -> Tensor:  # fmt: skip
    """The loss [P] of each positive.

    parts: raw outputs of the positives [P, 5 + C]. boxes_xyxy: the boxes [P, 4] decoded from them.
    """
    if kind == "mse":
        return offset_loss(parts, head, yolo, cfg, grid_hw)
    losses: Tensor = _BY_OVERLAP[kind](boxes_xyxy, head.boxes_xyxy)
    return losses


def offset_loss(
    parts: Tensor, head: HeadTargets, yolo: Yolo, cfg: Cfg, grid_hw: tuple[int, int]
) -> Tensor:
    """YOLOv3's own loss [P]: of the centre within its cell, and of the logarithms of the size.

    The centre is compared by binary cross-entropy, whose gradient is Darknet's `truth - x`, the
    size by half the squared difference; small boxes count up to twice (2 - area / input area).
    """
    height, width = grid_hw
    stride = parts.new_tensor((cfg.net.width / width, cfg.net.height / height))
    cell = torch.stack((head.column, head.row), dim=1)
    centre = (head.boxes_xyxy[:, :2] + head.boxes_xyxy[:, 2:]) / 2
    wh = (head.boxes_xyxy[:, 2:] - head.boxes_xyxy[:, :2]).clamp(min=1e-3)
    offset = centre / stride - cell
    wanted_xy = ((offset + (yolo.scale_x_y - 1) / 2) / yolo.scale_x_y).clamp(0, 1)
    wanted_wh = (wh / parts.new_tensor(yolo.masked_anchors_wh)[head.anchor]).log()
    if yolo.new_coords:
        xy = F.binary_cross_entropy(parts[:, :2].clamp(1e-6, 1 - 1e-6), wanted_xy, reduction="none")
        found_wh = 2 * (2 * parts[:, 2:4].clamp(min=1e-3)).log()
    else:
        xy = F.binary_cross_entropy_with_logits(parts[:, :2], wanted_xy, reduction="none")
        found_wh = parts[:, 2:4]
    share = wh.prod(dim=1) / (cfg.net.width * cfg.net.height)
    return (2 - share) * (xy.sum(dim=1) + ((found_wh - wanted_wh) ** 2).sum(dim=1) / 2)


_BY_OVERLAP: dict[BoxLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": lambda found, wanted: 1 - paired_iou(found, wanted),
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}
