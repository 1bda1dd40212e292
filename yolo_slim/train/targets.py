"""Which cell and anchor is to find which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yolo_slim.cfg import Cfg


@dataclass(frozen=True)
class HeadTargets:
    """The positives of one head, each an (image, anchor, row, column) and what belongs there.

    image, anchor, row, column: int64 [P]. boxes_xyxy: [P, 4] in pixels of the input.
    class_ids: int64 [P].
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    boxes_xyxy: Tensor
    class_ids: Tensor

    def places(self, shape: Sequence[int]) -> Tensor:
        """Index int64 [P] of each in a flat map of `shape` (anchors, rows, columns) an image."""
        anchors, rows, columns = shape
        line = (self.image * anchors + self.anchor) * rows + self.row
        return line * columns + self.column


def assign(
    targets: Tensor, cfg: Cfg, grids_hw: list[tuple[int, int]], neighbours: bool = False
) -> list[HeadTargets]:
    """Positives of each head for targets [N, 6] (image, class, x1, y1, x2, y2 in input pixels).

    An object goes to the anchor of its shape, whatever head that is in (Redmon and Farhadi,
    YOLOv3, 2018), and to every other anchor whose shape overlaps it by more than the cfg's
    `iou_thresh`; there to the cell of its centre.

    neighbours: and to the nearest cell beside it and the nearest above or below, as far as the
    cfg's `scale_x_y` lets a box of that cell reach the centre (after Jocher, YOLOv5, 2020).
    """
    wh = targets[:, 4:6] - targets[:, 2:4]
    centre = (targets[:, 4:6] + targets[:, 2:4]) / 2
    # By their sizes: heads may share an anchor, and each may have a list of its own.
    all_anchors = targets.new_tensor([a for yolo in cfg.yolos for a in yolo.masked_anchors_wh])
    best = all_anchors[shape_iou(wh, all_anchors).argmax(dim=1)]  # [N, 2]
    assigned = []
    for yolo, (height, width) in zip(cfg.yolos, grids_hw, strict=True):
        stride = targets.new_tensor((cfg.net.width / width, cfg.net.height / height))
        place = centre / stride  # [N, 2], in cells
        last = torch.tensor((width - 1, height - 1), device=targets.device)
        cell = torch.minimum(place.long().clamp(min=0), last)
        anchors = targets.new_tensor(yolo.masked_anchors_wh)  # [A, 2]
        is_best = (best[:, None] == anchors).all(dim=2)  # [N, A]
        wanted = is_best | (shape_iou(wh, anchors) > yolo.iou_thresh)
        row, anchor = wanted.nonzero(as_tuple=True)
        cells = cell[row]
        if neighbours:
            which, beside = _beside(place[row], cells, last, yolo.scale_x_y)
            row, anchor = torch.cat((row, row[which])), torch.cat((anchor, anchor[which]))
            cells = torch.cat((cells, beside))
        assigned.append(
            HeadTargets(
                image=targets[row, 0].long(),
                anchor=anchor,
                row=cells[:, 1],
                column=cells[:, 0],
                boxes_xyxy=targets[row, 2:6],
                class_ids=targets[row, 1].long(),
            )
        )
    return assigned


def _beside(place: Tensor, cell: Tensor, last: Tensor, scale_x_y: float) -> tuple[Tensor, Tensor]:
    """Of centres [P, 2] in cells, and their cells: the index int64 [Q] of each that a neighbour
    can reach, and that neighbour's (column, row) [Q, 2]."""
    offset = place - cell - 0.5  # from the middle of the cell, -0.5 to 0.5
    reach = (scale_x_y - 1) / 2
    found = []
    for axis in (0, 1):
        step = torch.zeros_like(cell)
        step[:, axis] = torch.where(offset[:, axis] < 0, -1, 1)
        beside = cell + step
        inside = ((beside >= 0) & (beside <= last)).all(dim=1)
        near = 0.5 - offset[:, axis].abs() < reach  # distance from the border between the two
        found.append((inside & near, beside))
    which = torch.cat([kept.nonzero()[:, 0] for kept, _ in found])
    return which, torch.cat([beside[kept] for kept, beside in found])


def shape_iou(wh: Tensor, anchors_wh: Tensor) -> Tensor:
    """Overlap of boxes [N, 2] and anchors [K, 2] laid on one corner, [N, K], 0 to 1."""
    both = torch.minimum(wh[:, None], anchors_wh[None]).prod(dim=2)
    return both / (wh.prod(dim=1)[:, None] + anchors_wh.prod(dim=1)[None] - both).clamp(min=1e-9)
