"""Training at sizes around the network's own, as Darknet's random=1 does."""

from __future__ import annotations

import math
import random
from functools import lru_cache

from torch import Tensor
from torch.nn import functional as F

from yolo_slim.cfg import Cfg, resize
from yolo_slim.cfg.scale import coarsest_stride

STEPS_AT_A_SIZE = 10
"""Darknet changes the size every ten batches."""


class MultiScale:
    """Resizes batches to a size that follows from seed and step; `factor` 1 leaves them alone.

    teacher_stride_px: the coarsest of another network that is to see them.
    """

    def __init__(self, cfg: Cfg, factor: float, seed: int, teacher_stride_px: int = 1) -> None:
        self.cfg, self.factor, self.seed = cfg, factor, seed
        self.stride = math.lcm(coarsest_stride(cfg), teacher_stride_px) if factor > 1 else 1
        self._at = lru_cache(maxsize=64)(lambda height, width: resize(cfg, height, width))

    def size_hw(self, step: int) -> tuple[int, int]:
        """Height and width in pixels at optimizer step `step`, in whole strides of all networks,
        aspect kept."""
        height, width = self.cfg.input_hw
        draw = random.Random(f"{self.seed} {step // STEPS_AT_A_SIZE}")
        times = self.factor ** draw.uniform(-1, 1)
        if step < STEPS_AT_A_SIZE:
            times = self.factor  # the largest first: it fits into memory, or nothing is lost
        sides = (max(self.stride, round(side * times / self.stride) * self.stride)
                 for side in (height, width))  # fmt: skip
        new_height, new_width = sides
        return new_height, new_width

    def __call__(self, images: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor, Cfg]:
        """images [B, C, H, W], 0..1, and targets [N, 6] in their pixels; the same at another size,
        and the cfg of that size."""
        if self.factor == 1:
            return images, targets, self.cfg
        height, width = self.size_hw(step)
        old_height, old_width = images.shape[2:]
        if (height, width) == (old_height, old_width):
            return images, targets, self.cfg
        images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
        ratio = targets.new_tensor((1, 1, *(width / old_width, height / old_height) * 2))
        return images, targets * ratio, self._at(height, width)
