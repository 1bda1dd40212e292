"""From raw maps to boxes and scores: what Darknet's heads do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from yolo_slim.cfg import (
    Cfg,
    Cost,
    Detection,
    Dropout,
    GaussianYolo,
    Head,
    Region,
    Softmax,
    Yolo,
)
from yolo_slim.errors import InputError

BoxesAndScores = tuple[Tensor, Tensor]
"""boxes_xyxy [B, N, 4] in pixels of the network's input, scores [B, N, C]."""

MAX_LOG_FACTOR = 10.0
"""Of a box's side over its anchor's; larger ones count as this."""


def not_half(values: Tensor) -> Tensor:
    """float32 of a half precision, in which no sum over a map can be kept; else as it is."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def split_raw(raw: Tensor, yolo: Yolo | Region) -> Tensor:
    """[B, A * (5 + C), H, W] -> [B, A, H, W, 5 + C]; 9 + C for a [Gaussian_yolo]."""
    batch, channels, height, width = raw.shape
    n_anchors = len(yolo.mask if isinstance(yolo, Yolo) else yolo.anchors_wh)
    raw = raw.view(batch, n_anchors, channels // n_anchors, height, width)
    return raw.permute(0, 1, 3, 4, 2)


def decode_boxes(raw: Tensor, yolo: Yolo, input_hw: tuple[int, int]) -> Tensor:
    """[B, A, H, W, 5 + C] -> boxes_xyxy [B, A, H, W, 4] in pixels of the network's input.

    x = (sigmoid(t_x) * s - (s - 1) / 2 + column) * stride, w = exp(t_w) * anchor_w; with
    new_coords the convolution before has applied the sigmoid, and w = (2 t_w)^2 * anchor_w
    (AlexeyAB's yolo layer).
    """
    t_xy, t_wh = raw[..., :2], raw[..., 2:4]
    if not yolo.new_coords:
        t_xy = t_xy.sigmoid()
    offsets = t_xy * yolo.scale_x_y - (yolo.scale_x_y - 1) / 2
    factors = (2 * t_wh) ** 2 if yolo.new_coords else _exp(t_wh)
    return _boxes(offsets, factors, yolo.masked_anchors_wh, input_hw)


def decode(raw: Tensor, head: Head, input_hw: tuple[int, int]) -> BoxesAndScores:
    """One head's raw map, in the shape that the head reads -> boxes and scores of all N places.

    Raises InputError for a head that boxes cannot be read off.
    """
    match head:
        case GaussianYolo():
            boxes_xyxy, scores = _decode_gaussian(split_raw(raw.float(), head), head, input_hw)
        case Yolo():
            parts = split_raw(raw.float(), head)
            boxes_xyxy = decode_boxes(parts, head, input_hw)
            # A linear convolution before new_coords gives other numbers, too: as in the loss, what
            # is no probability counts as the nearest one.
            values = parts[..., 4:]
            confidence = values.clamp(0, 1) if head.new_coords else values.sigmoid()
            scores = confidence[..., :1] * confidence[..., 1:]
        case Region():
            boxes_xyxy, scores = _decode_region(split_raw(raw.float(), head), head, input_hw)
        case Detection():
            boxes_xyxy, scores = _decode_detection(raw.float().flatten(1), head, input_hw)
        case _:
            raise InputError(f"boxes cannot be read off a [{head.kind}] head")
    return boxes_xyxy.flatten(1, -2), scores.flatten(1, -2)


def decode_all(raws: Sequence[Tensor], cfg: Cfg) -> BoxesAndScores:
    """All heads, one after the other."""
    if not cfg.heads:
        raise InputError(f"{cfg.source} has no detection head: it finds no boxes")
    pairs = [decode(raw, head, cfg.input_hw) for raw, head in zip(raws, cfg.heads, strict=True)]
    return torch.cat([p[0] for p in pairs], dim=1), torch.cat([p[1] for p in pairs], dim=1)


def _decode_gaussian(raw: Tensor, head: GaussianYolo, input_hw: tuple[int, int]) -> BoxesAndScores:
    """raw: [B, A, H, W, 9 + C]: x, its uncertainty, y, its... w, its... h, its..., objectness."""
    means, spreads = raw[..., 0:8:2], raw[..., 1:8:2].sigmoid()
    boxes_xyxy = decode_boxes(means, head, input_hw)
    confidence = raw[..., 8:].sigmoid()
    certainty = 1 - spreads.mean(dim=-1, keepdim=True)
    return boxes_xyxy, confidence[..., :1] * confidence[..., 1:] * certainty


def _decode_region(raw: Tensor, head: Region, input_hw: tuple[int, int]) -> BoxesAndScores:
    """raw: [B, A, H, W, 5 + C]; anchors in cells; one class of several (YOLOv2)."""
    if head.tree:
        raise InputError(
            f"[region] tree={head.tree}: boxes of a class hierarchy are not read; "
            "the network can be run, pruned and exported"
        )
    strides_wh = (input_hw[1] / raw.shape[3], input_hw[0] / raw.shape[2])
    anchors_px = tuple((w * strides_wh[0], h * strides_wh[1]) for w, h in head.anchors_wh)
    boxes_xyxy = _boxes(raw[..., :2].sigmoid(), _exp(raw[..., 2:4]), anchors_px, input_hw)
    classes = raw[..., 5:].softmax(dim=-1) if head.softmax else raw[..., 5:].sigmoid()
    return boxes_xyxy, raw[..., 4:5].sigmoid() * classes


def _decode_detection(raw: Tensor, head: Detection, input_hw: tuple[int, int]) -> BoxesAndScores:
    """raw: [B, side^2 * (C + num * 5)]: classes, objectness, boxes, each by cell (YOLOv1)."""
    batch, side = len(raw), head.side
    cells = side**2
    counts = [cells * head.classes, cells * head.num, cells * head.num * 4]
    classes, objectness, boxes = torch.split(raw, counts, dim=1)
    classes = classes.view(batch, cells, 1, head.classes)
    if head.softmax:
        classes = classes.softmax(dim=-1)
    # As maps of one "anchor" a box, the whole input large.
    boxes = boxes.view(batch, side, side, head.num, 4).permute(0, 3, 1, 2, 4)
    # Nothing keeps sizes of linear outputs above 0.
    sizes = boxes[..., 2:] ** 2 if head.sqrt else boxes[..., 2:].clamp(min=0)
    whole = tuple((float(input_hw[1]), float(input_hw[0])) for _ in range(head.num))
    boxes_xyxy = _boxes(boxes[..., :2], sizes, whole, input_hw)  # [B, num, side, side, 4]
    # Of linear outputs: nothing else keeps them within 0 to 1.
    scores = (objectness.view(batch, cells, head.num, 1) * classes).clamp(0, 1)
    return boxes_xyxy.flatten(2, 3), scores.transpose(1, 2)  # scores: [B, num, cells, C]


def _boxes(
    offsets_xy: Tensor, factors_wh: Tensor, anchors_wh: Sequence[tuple[float, float]],
    input_hw: tuple[int, int],
) -> Tensor:  # fmt: skip
    """Centre = (offset + cell) * stride, size = factor * anchor, each [B, A, H, W, 2] -> xyxy."""
    height, width = offsets_xy.shape[2:4]
    stride = offsets_xy.new_tensor((input_hw[1] / width, input_hw[0] / height))
    anchors = offsets_xy.new_tensor(anchors_wh).view(1, -1, 1, 1, 2)
    ys = torch.arange(height, dtype=offsets_xy.dtype, device=offsets_xy.device)
    xs = torch.arange(width, dtype=offsets_xy.dtype, device=offsets_xy.device)
    cells = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)  # [H, W, 2]
    centres, sizes = (offsets_xy + cells) * stride, factors_wh * anchors
    return torch.cat((centres - sizes / 2, centres + sizes / 2), dim=-1)


def _exp(logits: Tensor) -> Tensor:
    # Bounded, so that an untrained or INT8 head cannot make an infinite box.
    return logits.clamp(max=MAX_LOG_FACTOR).exp()


def class_logits(raws: Sequence[Tensor], cfg: Cfg) -> Tensor:
    """A classifier's one output -> [B, C]; its logarithm where the last section is a [softmax]."""
    (output,) = raws
    values = output.float().flatten(1)
    last = [s for s in cfg if not isinstance(s, Cost | Dropout)][-1]
    return values.clamp(min=1e-12).log() if isinstance(last, Softmax) else values
