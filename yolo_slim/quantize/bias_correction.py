"""Takes back what rounding kernels shifts on average (Nagel et al., "Data-free quantization", 2019,
section 4.2, with the mean input measured on images)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from yolo_slim.cfg import Conv


def shift_of(section: Conv, kernel: Tensor, rounded: Tensor, mean_read: Tensor) -> Tensor:
    """float64 [filters]: how much the mean output of each channel moves when `kernel` is replaced
    by `rounded`, on inputs whose mean is mean_read [C, H, W]. A convolution is linear, so the mean
    of what it makes is what it makes of the mean; padding is part of it."""
    change = (rounded - kernel).double()
    moved = F.conv2d(
        mean_read[None], change, None, section.strides_hw, section.padding_px * section.dilation,
        section.dilation, section.groups,
    )  # fmt: skip
    return torch.as_tensor(moved.mean(dim=(0, 2, 3)))
