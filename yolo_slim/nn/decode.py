"""From raw maps to boxes: Darknet's yolo layer, and what is left after suppression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from yolo_slim.cfg import Cfg, Yolo

MAX_CANDIDATES = 30_000
"""Boxes per image that enter non-maximum suppression, best first."""


def split_raw(raw: Tensor, yolo: Yolo) -> Tensor:
    """[B, A * (5 + C), H, W] -> [B, A, H, W, 5 + C]."""
    batch, _, height, width = raw.shape
    n_anchors = len(yolo.mask)
    raw = raw.view(batch, n_anchors, 5 + yolo.classes, height, width)  # [B, A, 5 + C, H, W]
    return raw.permute(0, 1, 3, 4, 2)


def decode_boxes(raw: Tensor, yolo: Yolo, input_hw: tuple[int, int]) -> Tensor:
    """[B, A, H, W, 5 + C] -> boxes_xyxy [B, A, H, W, 4] in pixels of the network's input.

    x = (sigmoid(t_x) * s - (s - 1) / 2 + column) * stride, w = exp(t_w) * anchor_w; with
    new_coords the convolution before has applied the sigmoid, and w = (2 t_w)^2 * anchor_w
    (AlexeyAB's yolo layer).
    """
    height, width = raw.shape[2:4]
    stride = raw.new_tensor((input_hw[1] / width, input_hw[0] / height))
    anchors_wh = raw.new_tensor(yolo.masked_anchors_wh).view(1, -1, 1, 1, 2)
    ys = torch.arange(height, dtype=raw.dtype, device=raw.device)
    xs = torch.arange(width, dtype=raw.dtype, device=raw.device)
    cells = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)  # [H, W, 2]
    t_xy, t_wh = raw[..., :2], raw[..., 2:4]
    if not yolo.new_coords:
        t_xy = t_xy.sigmoid()
    centres = (t_xy * yolo.scale_x_y - (yolo.scale_x_y - 1) / 2 + cells) * stride
    # exp is bounded so that an untrained or INT8 head cannot make an infinite box.
    sizes = ((2 * t_wh) ** 2 if yolo.new_coords else t_wh.clamp(max=10).exp()) * anchors_wh
    return torch.cat((centres - sizes / 2, centres + sizes / 2), dim=-1)


def decode(raw: Tensor, yolo: Yolo, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """One head's raw map [B, A * (5 + C), H, W] -> (boxes_xyxy [B, N, 4], scores [B, N, C]).

    Boxes in pixels of the network's input, N = A * H * W; score = objectness x class probability.
    """
    parts = split_raw(raw.float(), yolo)
    boxes_xyxy = decode_boxes(parts, yolo, input_hw)
    confidence = parts[..., 4:] if yolo.new_coords else parts[..., 4:].sigmoid()
    scores = confidence[..., :1] * confidence[..., 1:]
    return boxes_xyxy.flatten(1, 3), scores.flatten(1, 3)


def decode_all(raws: Sequence[Tensor], cfg: Cfg) -> tuple[Tensor, Tensor]:
    """All heads: boxes_xyxy [B, N, 4] in pixels of the input, scores [B, N, C]."""
    pairs = [decode(raw, yolo, cfg.input_hw) for raw, yolo in zip(raws, cfg.yolos, strict=True)]
    return torch.cat([p[0] for p in pairs], dim=1), torch.cat([p[1] for p in pairs], dim=1)


def suppress(
    boxes_xyxy: Tensor, scores: Tensor, conf: float, nms_iou: float, max_detections: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One image's boxes [N, 4] and scores [N, C] -> (boxes [n, 4], scores [n], class ids [n]).

    Every (box, class) pair above `conf` counts; greedy suppression within a class; best first.
    """
    rows, class_ids = torch.nonzero(scores > conf, as_tuple=True)
    pair_scores = scores[rows, class_ids]
    if len(pair_scores) > MAX_CANDIDATES:
        pair_scores, best = pair_scores.topk(MAX_CANDIDATES)
        rows, class_ids = rows[best], class_ids[best]
    pair_boxes = boxes_xyxy[rows]
    kept = batched_nms(pair_boxes, pair_scores, class_ids, nms_iou)[:max_detections]
    return pair_boxes[kept], pair_scores[kept], class_ids[kept]
