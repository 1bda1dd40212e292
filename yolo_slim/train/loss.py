"""YOLOv3's loss: where (CIoU), whether (objectness), what (classes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, complete_box_iou_loss

from yolo_slim.cfg import Cfg, Yolo
from yolo_slim.nn.decode import decode_boxes, split_raw
from yolo_slim.train.targets import HeadTargets, assign


@dataclass(frozen=True)
class LossWeights:
    """Each term is a sum divided by the number of positives, then weighted."""

    box: float = 5.0
    objectness: float = 1.0
    classes: float = 1.0


def detection_loss(
    raws: Sequence[Tensor], targets: Tensor, cfg: Cfg, weights: LossWeights | None = None
) -> dict[str, Tensor]:
    """The terms 'box', 'objectness', 'classes', weighted; their sum is what is minimised.

    raws: the head's maps [B, A * (5 + C), H, W]. targets [N, 6]: image, class, x1, y1, x2, y2 in
    pixels of the input. A prediction that overlaps an object by more than the cfg's
    `ignore_thresh` without being responsible for it is neither right nor wrong. With the cfg's
    `objectness_smooth` a positive's objectness is to tell its overlap, else 1.
    """
    weights = weights or LossWeights()
    grids_hw = [(raw.shape[2], raw.shape[3]) for raw in raws]
    assigned = assign(targets, cfg, grids_hw)
    n_positives = max(sum(len(head.image) for head in assigned), 1)
    box = objectness = classes = raws[0].new_zeros((), dtype=torch.float32)
    maps = [split_raw(raw.float(), yolo) for raw, yolo in zip(raws, cfg.yolos, strict=True)]
    boxes = [decode_boxes(m, yolo, cfg.input_hw) for m, yolo in zip(maps, cfg.yolos, strict=True)]
    overlaps = _best_overlaps(boxes, targets)
    for parts, boxes_xyxy, best, yolo, head in zip(
        maps, boxes, overlaps, cfg.yolos, assigned, strict=True
    ):
        where = (head.image, head.anchor, head.row, head.column)
        box_losses = complete_box_iou_loss(boxes_xyxy[where], head.boxes_xyxy)
        box = box + box_losses.sum()
        wanted = F.one_hot(head.class_ids, yolo.classes).float()
        classes = classes + _bce(parts[where][:, 5:], wanted, yolo).sum()
        objectness = objectness + _objectness(parts, boxes_xyxy, best, head, yolo)
    return {
        "box": weights.box * box / n_positives,
        "objectness": weights.objectness * objectness / n_positives,
        "classes": weights.classes * classes / n_positives,
    }


def _objectness(
    parts: Tensor, boxes_xyxy: Tensor, overlap: Tensor, head: HeadTargets, yolo: Yolo
) -> Tensor:
    where = (head.image, head.anchor, head.row, head.column)
    with torch.no_grad():
        counts = overlap <= yolo.ignore_thresh
        counts[where] = True
        wanted = torch.zeros_like(parts[..., 4])
        if yolo.objectness_smooth:
            wanted[where] = _paired_iou(boxes_xyxy[where], head.boxes_xyxy)
        else:
            wanted[where] = 1.0
    return _bce(parts[..., 4], wanted, yolo)[counts].sum()


def _best_overlaps(boxes: Sequence[Tensor], targets: Tensor) -> list[Tensor]:
    """`best_overlap` of each head's boxes [B, A, H, W, 4] -> [B, A, H, W], asked once for all."""
    with torch.no_grad():
        found = best_overlap(torch.cat([b.flatten(1, 3) for b in boxes], dim=1), targets)
    sizes = [b[0, ..., 0].numel() for b in boxes]
    return [
        f.view(b.shape[:4]) for f, b in zip(torch.split(found, sizes, dim=1), boxes, strict=True)
    ]


def best_overlap(boxes_xyxy: Tensor, targets: Tensor) -> Tensor:
    """Best IoU with an object of the image: boxes [B, N, 4], targets [T, 6] -> [B, N]."""
    best = boxes_xyxy.new_zeros(boxes_xyxy.shape[:2])
    for image in range(len(boxes_xyxy)):
        objects = targets[targets[:, 0] == image, 2:6]
        if len(objects):
            best[image] = box_iou(boxes_xyxy[image], objects).amax(dim=1)
    return best


def _paired_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    top_left = torch.maximum(first_xyxy[:, :2], second_xyxy[:, :2])
    bottom_right = torch.minimum(first_xyxy[:, 2:], second_xyxy[:, 2:])
    both = (bottom_right - top_left).clamp(min=0).prod(dim=1)
    areas = [(b[:, 2:] - b[:, :2]).prod(dim=1) for b in (first_xyxy, second_xyxy)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-9)


def _bce(predicted: Tensor, wanted: Tensor, yolo: Yolo) -> Tensor:
    """Binary cross-entropy an element; with new_coords the map holds probabilities already."""
    if yolo.new_coords:
        return F.binary_cross_entropy(predicted.clamp(1e-6, 1 - 1e-6), wanted, reduction="none")
    return F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none")
