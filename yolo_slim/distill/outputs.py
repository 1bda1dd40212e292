"""What a teacher answers, as a soft target: boxes of a detector, classes of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, generalized_box_iou_loss

from yolo_slim.cfg import Cfg, Yolo, infer_shapes
from yolo_slim.distill.inputs import require_same_input
from yolo_slim.errors import InputError
from yolo_slim.nn.decode import decode_boxes, not_half, split_raw
from yolo_slim.nn.overlap import best_overlaps
from yolo_slim.processes import mean_over_processes

ALIKE = 0.5
"""IoU of two anchors laid on one corner, from which one can learn of the other."""

SEEN = 0.05
"""Objectness of the teacher from which its box is worth a look."""


@dataclass(frozen=True)
class HeadPair:
    """Two heads of one stride, by their places. anchors: for each anchor of the student that has
    one, (its place in the head, the place of the teacher's most alike)."""

    student: int
    teacher: int
    anchors: tuple[tuple[int, int], ...]


def match_heads(student: Cfg, teacher: Cfg) -> list[HeadPair]:
    """Heads by their stride, anchors by their shape; what has no partner is left to the labels.

    Raises InputError where the two differ in classes or take other images, where a head's numbers
    are no logits, and where nothing matches.
    """
    names = f"teacher {teacher.source} and student {student.source}"
    if teacher.n_classes != student.n_classes:
        raise InputError(
            f"{names} differ in classes, {teacher.n_classes} and {student.n_classes}: their "
            "outputs cannot be compared"
        )
    require_same_input(student, teacher)
    if any(yolo.new_coords for cfg in (student, teacher) for yolo in cfg.yolos):
        raise InputError(f"{names}: heads with new_coords=1 cannot teach or be taught by outputs")
    pairs = []
    theirs = _grids(teacher)
    for place, grid_hw in enumerate(_grids(student)):
        if grid_hw in theirs:
            other = theirs.index(grid_hw)
            anchors = _alike(student.yolos[place], teacher.yolos[other])
            if anchors:
                pairs.append(HeadPair(place, other, anchors))
    if not pairs:
        raise InputError(
            f"{names} have no head of one stride with anchors alike: their outputs cannot be "
            "compared; name --loss overhaul alone"
        )
    return pairs


def output_terms(
    student: Sequence[Tensor], teacher: Sequence[Tensor], pairs: Sequence[HeadPair],
    yolos: tuple[Sequence[Yolo], Sequence[Yolo]], input_hw: tuple[int, int], targets: Tensor,
) -> dict[str, Tensor]:  # fmt: skip
    """'objectness', 'classes', 'boxes', each per object that the teacher sees.

    Objectness and classes by binary cross-entropy against the teacher's probabilities (Hinton et
    al., 2015, with the sigmoid of a detector in place of the softmax); classes and boxes weighted
    by its objectness. A box by GIoU with the teacher's, as far as that lies no worse on an object
    of `targets` than the student's own (after Chen et al., 2017).

    student, teacher: raw maps of the heads, and yolos: of both. input_hw: of these images.
    targets [N, 6]: image, class, x1, y1, x2, y2 in pixels of the input.
    """
    zero = not_half(student[0]).new_zeros(())
    total = dict.fromkeys(("objectness", "classes", "boxes"), zero)
    seen = zero
    for pair in pairs:
        mine, theirs = zip(*pair.anchors, strict=True)
        yolo, other = yolos[0][pair.student], yolos[1][pair.teacher]
        my_parts = split_raw(not_half(student[pair.student]), yolo)
        their_parts = split_raw(not_half(teacher[pair.teacher]), other)
        my_boxes = decode_boxes(my_parts, yolo, input_hw)[:, mine]
        their_boxes = decode_boxes(their_parts, other, input_hw)[:, theirs]
        my_parts, their_parts = my_parts[:, mine], their_parts[:, theirs]
        believed = their_parts[..., 4].sigmoid()
        objectness = F.binary_cross_entropy_with_logits(my_parts[..., 4], believed, reduction="sum")
        classes = F.binary_cross_entropy_with_logits(
            my_parts[..., 5:], their_parts[..., 5:].sigmoid(), reduction="none"
        ).sum(dim=-1)
        total["objectness"] = total["objectness"] + objectness
        total["classes"] = total["classes"] + (believed * classes).sum()
        total["boxes"] = total["boxes"] + _box_term(my_boxes, their_boxes, believed, targets)
        seen = seen + believed.sum()
    objects = mean_over_processes(float(seen), seen.device, least_in_all=1)
    return {name: term / objects for name, term in total.items()}


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)), mean over the batch: the gradient
    stays as large whatever T is (Hinton et al., 2015). Logits [B, C] or [B, C, 1, 1]."""
    mine = F.log_softmax(not_half(student).flatten(1) / temperature, dim=1)
    theirs = F.log_softmax(not_half(teacher).flatten(1) / temperature, dim=1)
    divergence: Tensor = F.kl_div(mine, theirs, log_target=True, reduction="batchmean")
    return temperature**2 * divergence


def _box_term(mine: Tensor, theirs: Tensor, believed: Tensor, targets: Tensor) -> Tensor:
    """Boxes [B, A, H, W, 4] and objectness [B, A, H, W] -> a sum."""
    looked = believed > SEEN  # few of all cells: the others' boxes are compared with nothing
    images, ours, others = looked.nonzero()[:, 0], mine[looked], theirs[looked]
    with torch.no_grad():
        no_worse = best_overlaps(others, images, targets) >= best_overlaps(ours, images, targets)
        weight = believed[looked] * no_worse
    apart: Tensor = generalized_box_iou_loss(ours, others)
    return (weight * apart).sum()


def _alike(mine: Yolo, theirs: Yolo) -> tuple[tuple[int, int], ...]:
    corner = [
        torch.tensor([(0.0, 0.0, w, h) for w, h in yolo.masked_anchors_wh])
        for yolo in (mine, theirs)
    ]
    overlap = box_iou(*corner)  # [A, A']
    best = overlap.max(dim=1)
    return tuple(
        (place, int(index))
        for place, (iou, index) in enumerate(zip(best.values, best.indices, strict=True))
        if iou >= ALIKE
    )


def _grids(cfg: Cfg) -> list[tuple[int, int]]:
    """Cells of each head, (rows, columns)."""
    shapes = infer_shapes(cfg)
    return [(shapes[index].height, shapes[index].width) for index in cfg.head_indices]
