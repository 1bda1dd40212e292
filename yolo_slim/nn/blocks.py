"""One torch module a section type. Each takes the tensors that its section links to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolo_slim.cfg import (
    Activation,
    Avgpool,
    Batchnorm,
    Connected,
    Conv,
    Cost,
    Crop,
    Dropout,
    Head,
    Local,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Select,
    Shape,
    Shortcut,
    Shuffle,
    Softmax,
    Upsample,
)
from yolo_slim.nn import pools
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS

NORMALIZATION_EPS = 1e-4
"""Darknet adds it to the sum that the weights of a [shortcut] are divided by."""


class Activated(nn.Module):
    """What ends in an activation, and can be asked for its map before that."""

    activate: Callable[[Tensor], Tensor]
    before_activation: Callable[..., Tensor]

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.activate(self.before_activation(*inputs))


class ConvBlock(Activated):
    """Convolution, BatchNorm or bias, activation. [B, C, H, W] -> [B, filters, H', W']."""

    def __init__(self, section: Conv, in_channels: int, bn_eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            section.filters,
            section.size,
            section.strides_hw,
            section.padding_px * section.dilation,
            section.dilation,
            section.groups,
            bias=not section.batch_normalize,
        )
        self.bn = nn.BatchNorm2d(section.filters, eps=bn_eps) if section.batch_normalize else None
        self.xnor = section.xnor
        self.activate = ACTIVATION_FUNCTIONS[section.activation]
        self.weight_scales: Tensor | None
        self.register_buffer("weight_scales", None, persistent=False)

    def quantize_weights(self, scales: tuple[float, ...] | None) -> None:
        """From now on the kernel is rounded to -127..127 steps of its channel's scale; None ends
        it."""
        device = self.conv.weight.device
        self.weight_scales = None if scales is None else torch.tensor(scales, device=device)

    def before_activation(self, x: Tensor) -> Tensor:
        x = self.convolve(x)
        return x if self.bn is None else self.bn(x)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, with its bias if it has one."""
        if self.xnor:
            weight = self.conv.weight
            size = weight.abs().mean(dim=(1, 2, 3), keepdim=True)
            binary: Tensor = self.conv._conv_forward(signs(x), signs(weight) * size, self.conv.bias)
            return binary
        if self.weight_scales is None:
            convolved: Tensor = self.conv(x)
            return convolved
        zero_points = torch.zeros_like(self.weight_scales, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.weight_scales, zero_points, 0, -127, 127
        )
        rounded: Tensor = self.conv._conv_forward(x, weight, self.conv.bias)
        return rounded


class SharedConvBlock(Activated):
    """A convolution with the kernel, bias and BatchNorm of another one, `owner`."""

    def __init__(self, section: Conv, owner: ConvBlock) -> None:
        super().__init__()
        self.section = section
        self._owner = (owner,)  # a tuple is no submodule: the tensors stay the owner's alone
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def before_activation(self, x: Tensor) -> Tensor:
        section, (owner,) = self.section, self._owner
        x = F.conv2d(
            x, owner.conv.weight, owner.conv.bias, section.strides_hw,
            section.padding_px * section.dilation, section.dilation, section.groups,
        )  # fmt: skip
        return x if owner.bn is None else owner.bn(x)


class ConnectedBlock(Activated):
    """Every output reads every value. [B, C, H, W] -> [B, output, 1, 1]."""

    def __init__(self, section: Connected, n_values: int, bn_eps: float) -> None:
        super().__init__()
        self.connected = nn.Linear(n_values, section.output, bias=not section.batch_normalize)
        self.bn = nn.BatchNorm2d(section.output, eps=bn_eps) if section.batch_normalize else None
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def before_activation(self, x: Tensor) -> Tensor:
        x = self.connected(x.flatten(1))[:, :, None, None]
        return x if self.bn is None else self.bn(x)


class LocalBlock(Activated):
    """A kernel of its own at every place. [B, C, H, W] -> [B, filters, H', W']."""

    def __init__(self, section: Local, read: Shape, written: Shape) -> None:
        super().__init__()
        self.section = section
        places = written.height * written.width
        kernel = torch.empty(places, section.filters, read.channels, section.size, section.size)
        fan_in = read.channels * section.size**2
        self.weight = nn.Parameter(kernel.normal_(std=(2 / fan_in) ** 0.5))
        self.bias = nn.Parameter(torch.zeros(written))
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def before_activation(self, x: Tensor) -> Tensor:
        section = self.section
        patches = F.unfold(x, section.size, padding=section.padding_px, stride=section.stride)
        kernels = self.weight.flatten(2)  # [places, filters, C * k * k]
        out = torch.einsum("bkp,pfk->bfp", patches, kernels)
        return out.view(-1, *self.bias.shape) + self.bias


class BatchnormBlock(nn.Module):
    def __init__(self, channels: int, bn_eps: float) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=bn_eps)

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.bn(x)
        return normalised


class ActivationBlock(Activated):
    def __init__(self, section: Activation) -> None:
        super().__init__()
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def before_activation(self, x: Tensor) -> Tensor:
        return x


class ShortcutBlock(Activated):
    """Adds the channels that both have: the smaller operand meets the first of the larger."""

    def __init__(self, section: Shortcut, channels: int) -> None:
        super().__init__()
        self.normalization = section.weights_normalization
        self.activate = ACTIVATION_FUNCTIONS[section.activation]
        n_operands = 1 + len(section.sources)
        shape = {"per_feature": (n_operands,), "per_channel": (n_operands, channels)}
        weighted = section.weights_type in shape
        self.weight: nn.Parameter | None
        self.register_parameter(
            "weight",
            nn.Parameter(torch.ones(shape[section.weights_type])) if weighted else None,
        )

    def before_activation(self, x: Tensor, *others: Tensor) -> Tensor:
        factors = self.factors()
        if factors is not None:
            x = x * factors[0]
        for number, other in enumerate(others, start=1):
            stride = max(1, other.shape[2] // x.shape[2])
            if stride > 1:
                other = other[:, :, ::stride, ::stride]
            shared = min(x.shape[1], other.shape[1])
            other = other[:, :shared]
            if factors is not None:
                factor = factors[number]
                other = other * (factor[:, :shared] if factor.dim() > 1 else factor)
            if x.shape[1] == shared:
                x = x + other
            else:
                x = torch.cat((x[:, :shared] + other, x[:, shared:]), dim=1)
        return x

    def factors(self) -> Tensor | None:
        """What each operand is multiplied by, [n] or [n, 1, C, 1, 1], normalised if asked."""
        if self.weight is None:
            return None
        weight: Tensor = self.weight
        if self.normalization == "relu":
            weight = F.relu(weight)
        elif self.normalization == "softmax":
            weight = (weight - weight.amax(dim=0, keepdim=True)).exp()
        if self.normalization != "none":
            weight = weight / (weight.sum(dim=0, keepdim=True) + NORMALIZATION_EPS)
        return weight if weight.dim() == 1 else weight[:, None, :, None, None]


class GateBlock(Activated):
    """The map of the source times the gate before the section (Hu et al., SE, 2018)."""

    def __init__(self, section: ScaleChannels | Sam) -> None:
        super().__init__()
        self.activate = ACTIVATION_FUNCTIONS[section.activation]

    def before_activation(self, gate: Tensor, x: Tensor) -> Tensor:
        return x * gate


def signs(x: Tensor) -> Tensor:
    """1 where x > 0, else -1; in training the gradient passes as if nothing had been done."""
    ones = torch.where(x > 0, 1.0, -1.0).to(x.dtype)
    return x + (ones - x).detach() if x.requires_grad and torch.is_grad_enabled() else ones


def build_block(section: Section, read: Shape, written: Shape, bn_eps: float) -> nn.Module:
    """The module that computes `section`, from a map of shape `read` to one of shape `written`.

    A convolution with a share_index is a SharedConvBlock, which needs its owner: see Network.
    """
    match section:
        case Conv():
            return ConvBlock(section, read.channels, bn_eps)
        case Connected():
            return ConnectedBlock(section, read.values, bn_eps)
        case Local():
            return LocalBlock(section, read, written)
        case Batchnorm():
            return BatchnormBlock(read.channels, bn_eps)
        case Activation():
            return ActivationBlock(section)
        case Shortcut():
            return ShortcutBlock(section, read.channels)
        case ScaleChannels() | Sam():
            return GateBlock(section)
        case Maxpool(depth_channels=0):
            return pools.MaxpoolBlock(section)
        case Maxpool():
            return pools.DepthMaxpoolBlock(section)
        case LocalAvgpool():
            return pools.LocalAvgpoolBlock(section)
        case Avgpool():
            return pools.AvgpoolBlock()
        case Upsample():
            return pools.UpsampleBlock(section)
        case Reorg():
            return pools.ReorgBlock(section)
        case Reorg3d():
            return pools.Reorg3dBlock(section)
        case Route():
            return pools.RouteBlock(section)
        case Select():
            return pools.SelectBlock(section)
        case Shuffle():
            return pools.ShuffleBlock(section)
        case Crop():
            return pools.CropBlock(section)
        case Softmax():
            return pools.SoftmaxBlock(section)
        case Dropout():
            return nn.Dropout(section.probability)
        case Cost() | Head():
            return nn.Identity()
    raise TypeError(f"no module for [{section.kind}]")
