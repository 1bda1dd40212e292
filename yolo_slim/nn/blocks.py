"""One torch module a section type. Each takes the tensors that its section links to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolo_slim.cfg import (
    Avgpool,
    Conv,
    Dropout,
    Maxpool,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Upsample,
    Yolo,
)

ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "mish": F.mish,
    "swish": F.silu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),  # Darknet's form
}


class ConvBlock(nn.Module):
    """Convolution, BatchNorm or bias, activation. [B, C, H, W] -> [B, filters, H', W']."""

    def __init__(self, section: Conv, in_channels: int, bn_eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            section.filters,
            section.size,
            section.stride,
            section.padding_px * section.dilation,
            section.dilation,
            section.groups,
            bias=not section.batch_normalize,
        )
        self.bn = nn.BatchNorm2d(section.filters, eps=bn_eps) if section.batch_normalize else None
        self.activate = ACTIVATION_FUNCTIONS[section.activation]
        self.weight_scales: Tensor | None
        self.register_buffer("weight_scales", None, persistent=False)

    def quantize_weights(self, scales: tuple[float, ...]) -> None:
        """From now on the kernel is rounded to -127..127 steps of its channel's scale."""
        self.weight_scales = torch.tensor(scales)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolve(x)
        if self.bn is not None:
            x = self.bn(x)
        return self.activate(x)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, with its bias if it has one."""
        if self.weight_scales is None:
            convolved: Tensor = self.conv(x)
            return convolved
        zero_points = torch.zeros_like(self.weight_scales, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.weight_scales, zero_points, 0, -127, 127
        )
        rounded: Tensor = self.conv._conv_forward(x, weight, self.conv.bias)
        return rounded


class MaxpoolBlock(nn.Module):
    """Darknet's maximum: output (side + padding - size) // stride + 1, shifted by padding // 2."""

    def __init__(self, section: Maxpool) -> None:
        super().__init__()
        self.size, self.stride, self.padding_px = section.size, section.stride, section.padding_px

    def forward(self, x: Tensor) -> Tensor:
        before = self.padding_px // 2
        after = [self._after(side, before) for side in x.shape[2:]]
        if after == [before, before] and before <= self.size // 2:
            return F.max_pool2d(x, self.size, self.stride, before)
        if before or any(after):
            # A repeated border pixel never wins against itself: equal to a border of -inf, and
            # finite, which bf16 and INT8 ranges need.
            x = F.pad(x, (before, max(after[1], 0), before, max(after[0], 0)), mode="replicate")
        return F.max_pool2d(x, self.size, self.stride)

    def _after(self, side: int, before: int) -> int:
        n_outputs = (side + self.padding_px - self.size) // self.stride + 1
        return (n_outputs - 1) * self.stride + self.size - side - before


class ShortcutBlock(nn.Module):
    """Adds the channels that both have: the smaller operand meets the first of the larger."""

    def __init__(self, section: Shortcut) -> None:
        super().__init__()
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            shared = min(x.shape[1], other.shape[1])
            if x.shape[1] == shared:
                x = x + other[:, :shared]
            else:
                x = torch.cat((x[:, :shared] + other, x[:, shared:]), dim=1)
        return self.activate(x)


class RouteBlock(nn.Module):
    """Concatenates the `group_id`-th part of each input."""

    def __init__(self, section: Route) -> None:
        super().__init__()
        self.groups, self.group_id = section.groups, section.group_id

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = [x.chunk(self.groups, dim=1)[self.group_id] for x in inputs]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class UpsampleBlock(nn.Module):
    def __init__(self, section: Upsample) -> None:
        super().__init__()
        self.stride = section.stride

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=float(self.stride), mode="nearest")


class AvgpoolBlock(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True)


class ScaleChannelsBlock(nn.Module):
    """The map of the source times the gate before the section (Hu et al., SE, 2018)."""

    def __init__(self, section: ScaleChannels) -> None:
        super().__init__()
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def forward(self, gate: Tensor, x: Tensor) -> Tensor:
        return self.activate(x * gate)


def build_block(section: Section, in_channels: int, bn_eps: float) -> nn.Module:
    """The module that computes `section`."""
    match section:
        case Conv():
            return ConvBlock(section, in_channels, bn_eps)
        case Maxpool():
            return MaxpoolBlock(section)
        case Shortcut():
            return ShortcutBlock(section)
        case Route():
            return RouteBlock(section)
        case Upsample():
            return UpsampleBlock(section)
        case Avgpool():
            return AvgpoolBlock()
        case ScaleChannels():
            return ScaleChannelsBlock(section)
        case Dropout():
            return nn.Dropout(section.probability)
        case Yolo():
            return nn.Identity()
    raise TypeError(f"no module for [{section.kind}]")
