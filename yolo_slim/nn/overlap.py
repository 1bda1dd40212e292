"""How much boxes have in common, as tensors."""

from __future__ import annotations

from torch import Tensor, maximum, minimum, stack
from torchvision.ops import box_iou


def paired_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """IoU [P], 0 to 1, of each box [P, 4] with its partner."""
    top_left = maximum(first_xyxy[:, :2], second_xyxy[:, :2])
    bottom_right = minimum(first_xyxy[:, 2:], second_xyxy[:, 2:])
    both = (bottom_right - top_left).clamp(min=0).prod(dim=1)
    areas = [(b[:, 2:] - b[:, :2]).prod(dim=1) for b in (first_xyxy, second_xyxy)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-9)


def best_overlap(boxes_xyxy: Tensor, targets: Tensor) -> Tensor:
    """Best IoU with an object of the image: boxes [B, N, 4], targets [T, 6] -> [B, N]."""
    return stack([_best(boxes, image, targets) for image, boxes in enumerate(boxes_xyxy)])


def best_overlaps(boxes_xyxy: Tensor, images: Tensor, targets: Tensor) -> Tensor:
    """The same of boxes [N, 4] from anywhere, images [N]: that each is of -> [N]."""
    best = boxes_xyxy.new_zeros(len(boxes_xyxy))
    for image in sorted(set(images.tolist())):
        here = images == image
        best[here] = _best(boxes_xyxy[here], image, targets)
    return best


def _best(boxes_xyxy: Tensor, image: int, targets: Tensor) -> Tensor:
    objects = targets[targets[:, 0] == image, 2:6]
    if not len(objects):
        return boxes_xyxy.new_zeros(len(boxes_xyxy))
    overlaps: Tensor = box_iou(boxes_xyxy, objects)
    return overlaps.amax(dim=1)
