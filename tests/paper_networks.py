"""Networks that torchvision has not, written from their papers' definitions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv3(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)


def _identity(x: Tensor, channels: int, stride: int) -> Tensor:
    """Option A of He et al., 2015: every other pixel, and zeros for the new channels."""
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - x.shape[1]))


class _Basic(nn.Module):
    """He et al., 2015, figure 2."""

    def __init__(self, c_in: int, channels: int, stride: int, first: bool) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.conv1, self.bn1 = _conv3(c_in, channels, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv3(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + _identity(x, self.channels, self.stride))


class _PreBasic(nn.Module):
    """He et al., 2016, figure 4e; `first` of a stage activates before its branches part."""

    def __init__(self, c_in: int, channels: int, stride: int, first: bool) -> None:
        super().__init__()
        self.channels, self.stride, self.first = channels, stride, first
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), _conv3(c_in, channels, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), _conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + _identity(active if self.first else x, self.channels, self.stride)


class _PreBottleneck(nn.Module):
    def __init__(self, c_in: int, channels: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), nn.Conv2d(c_in, channels, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(channels), _conv3(channels, channels, stride)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.project = nn.Conv2d(c_in, 4 * channels, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        y = self.conv3(F.relu(self.bn3(y)))
        return y + (x if self.project is None else self.project(active))


class _Cifar(nn.Module):
    """Stem, three stages of blocks, mean, matrix. pre: BatchNorm before convolutions."""

    def __init__(self, block: Callable[..., nn.Module], n: int, pre: bool, grows: int = 1) -> None:
        super().__init__()
        self.stem = _conv3(3, 16)
        self.stem_bn = nn.Identity() if pre else nn.BatchNorm2d(16)
        blocks, width = [], 16
        for stage in range(3):
            for place in range(n):
                stride = 2 if stage and not place else 1
                blocks.append(block(width, 16 << stage, stride, place == 0))
                width = (16 << stage) * grows
        self.blocks = nn.Sequential(*blocks)
        self.end_bn = nn.BatchNorm2d(width) if pre else nn.Identity()
        self.fc = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x))
        x = self.blocks(x if isinstance(self.stem_bn, nn.Identity) else F.relu(x))
        return self.fc(F.relu(self.end_bn(x)).mean(dim=(2, 3)))


class _ShuffleUnit(nn.Module):
    """Zhang et al., 2018, figure 2b and 2c; the pool does not count its border."""

    def __init__(self, c_in: int, c_out: int, stride: int, groups_in: int, groups: int) -> None:
        super().__init__()
        hidden, filters = c_out // 4, c_out - c_in if stride == 2 else c_out
        self.stride, self.groups = stride, groups
        self.reduce = nn.Conv2d(c_in, hidden, 1, groups=groups_in, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.expand = nn.Conv2d(hidden, filters, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.reduce(x)))
        b, c, h, w = y.shape
        y = y.view(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, c, h, w)
        y = self.bn3(self.expand(self.bn2(self.depthwise(y))))
        if self.stride == 1:
            return F.relu(x + y)
        pooled = F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False)
        return F.relu(torch.cat((pooled, y), dim=1))


class _ShuffleNet(nn.Sequential):
    def __init__(self, width: int, groups: int) -> None:
        units, c_in = [], 24
        for stage, depth in enumerate((4, 8, 4)):
            for place in range(depth):
                groups_in = groups if stage or place else 1
                c_out = width << stage
                units.append(_ShuffleUnit(c_in, c_out, 1 if place else 2, groups_in, groups))
                c_in = c_out
        stem = (nn.Conv2d(3, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, 10))
        super().__init__(*stem, nn.MaxPool2d(3, 2, 1), *units, *end)


BY_THE_PAPER: dict[str, Callable[[], nn.Module]] = {
    "resnet20": lambda: _Cifar(_Basic, 3, pre=False),
    "preresnet20": lambda: _Cifar(_PreBasic, 3, pre=True),
    "preresnet164": lambda: _Cifar(_PreBottleneck, 18, pre=True, grows=4),
    "shufflenetv1-g1": lambda: _ShuffleNet(144, 1),
    "shufflenetv1-g3": lambda: _ShuffleNet(240, 3),
    "shufflenetv1-g8": lambda: _ShuffleNet(384, 8),
}
