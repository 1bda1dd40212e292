"""Modules that move, pick or summarise pixels and channels, and learn nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolo_slim.cfg import (
    Crop,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Select,
    Shuffle,
    Softmax,
    Strided,
    Upsample,
)


class Windows:
    """Darknet's windows: output (side + padding - size) // stride + 1, shifted by padding // 2."""

    def __init__(self, section: Strided) -> None:
        self.size, self.padding_px = section.size, section.padding_px
        self.strides_hw = section.strides_hw
        self.before = section.padding_px // 2

    def after(self, hw: Sequence[int]) -> list[int]:
        """Pixels that the last window reaches over the bottom and over the right side."""
        over = []
        for side, stride in zip(hw, self.strides_hw, strict=True):
            n_outputs = (side + self.padding_px - self.size) // stride + 1
            over.append((n_outputs - 1) * stride + self.size - side - self.before)
        return over

    def pads(self, x: Tensor) -> tuple[int, int, int, int]:
        """Left, right, top, bottom, as F.pad takes them."""
        bottom, right = self.after(x.shape[2:])
        return self.before, max(right, 0), self.before, max(bottom, 0)


class MaxpoolBlock(nn.Module):
    """The maximum of each window."""

    def __init__(self, section: Maxpool) -> None:
        super().__init__()
        self.windows = Windows(section)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.windows
        after, before = windows.after(x.shape[2:]), windows.before
        if after == [before, before] and before <= windows.size // 2:
            return F.max_pool2d(x, windows.size, windows.strides_hw, before)
        if before or any(after):
            # A repeated border pixel never wins against itself: equal to a border of -inf, and
            # finite, which bf16 and INT8 ranges need.
            x = F.pad(x, windows.pads(x), mode="replicate")
        return F.max_pool2d(x, windows.size, windows.strides_hw)


class DepthMaxpoolBlock(nn.Module):
    """The maximum over channels k, k + n, k + 2 n... [B, C, H, W] -> [B, n, H, W]."""

    def __init__(self, section: Maxpool) -> None:
        super().__init__()
        self.channels = section.depth_channels

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(x, self.channels, dim=1)
        out: Tensor = parts[0]
        for part in parts[1:]:
            n = part.shape[1]
            out = torch.cat((torch.maximum(out[:, :n], part), out[:, n:]), dim=1)
        return out


class LocalAvgpoolBlock(nn.Module):
    """The mean of the pixels of each window that lie inside of the map."""

    def __init__(self, section: LocalAvgpool) -> None:
        super().__init__()
        self.windows = Windows(section)

    def forward(self, x: Tensor) -> Tensor:
        windows, pads = self.windows, self.windows.pads(x)
        inside = F.pad(torch.ones_like(x[:1, :1]), pads)
        sums = F.avg_pool2d(F.pad(x, pads), windows.size, windows.strides_hw)
        return sums / F.avg_pool2d(inside, windows.size, windows.strides_hw)


class AvgpoolBlock(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True)


class UpsampleBlock(nn.Module):
    def __init__(self, section: Upsample) -> None:
        super().__init__()
        self.stride, self.scale = section.stride, section.scale

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1 else x * self.scale


class ReorgBlock(nn.Module):
    """Space to depth as YOLOv2 has it: see cfg.Reorg."""

    def __init__(self, section: Reorg) -> None:
        super().__init__()
        self.stride = section.stride

    def forward(self, x: Tensor) -> Tensor:
        s = self.stride
        batch, channels, height, width = x.shape
        coarse = x.reshape(batch, channels // s**2, height, s, width, s)
        phases = coarse.permute(0, 3, 5, 1, 2, 4)  # [B, s, s, C / s^2, H, W]
        return phases.reshape(batch, channels * s**2, height // s, width // s)


class Reorg3dBlock(nn.Module):
    """Space to depth, phases first: see cfg.Reorg3d."""

    def __init__(self, section: Reorg3d) -> None:
        super().__init__()
        self.stride = section.stride

    def forward(self, x: Tensor) -> Tensor:
        s = self.stride
        batch, channels, height, width = x.shape
        cells = x.reshape(batch, channels, height // s, s, width // s, s)
        phases = cells.permute(0, 3, 5, 1, 2, 4)  # [B, s, s, C, H / s, W / s]
        return phases.reshape(batch, channels * s**2, height // s, width // s)


class RouteBlock(nn.Module):
    """Concatenates the `group_id`-th part of each input."""

    def __init__(self, section: Route) -> None:
        super().__init__()
        self.groups, self.group_id = section.groups, section.group_id

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = inputs
        if self.groups > 1:
            parts = tuple(x.chunk(self.groups, dim=1)[self.group_id] for x in inputs)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class SelectBlock(nn.Module):
    channels: Tensor

    def __init__(self, section: Select) -> None:
        super().__init__()
        self.register_buffer("channels", torch.tensor(section.channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.channels)


class ShuffleBlock(nn.Module):
    def __init__(self, section: Shuffle) -> None:
        super().__init__()
        self.groups = section.groups

    def forward(self, x: Tensor) -> Tensor:
        return F.channel_shuffle(x, self.groups)


class CropBlock(nn.Module):
    def __init__(self, section: Crop) -> None:
        super().__init__()
        self.hw = section.crop_height, section.crop_width
        self.adjusts = not section.noadjust

    def forward(self, x: Tensor) -> Tensor:
        top, left = ((side - cut) // 2 for side, cut in zip(x.shape[2:], self.hw, strict=True))
        x = x[:, :, top : top + self.hw[0], left : left + self.hw[1]]
        return 2 * x - 1 if self.adjusts else x


class SoftmaxBlock(nn.Module):
    def __init__(self, section: Softmax) -> None:
        super().__init__()
        self.section = section

    def forward(self, x: Tensor) -> Tensor:
        logits = x / self.section.temperature
        if self.section.spatial:
            return logits.softmax(dim=1)
        groups = logits.reshape(len(x), self.section.groups, -1)
        return groups.softmax(dim=2).reshape(x.shape)
