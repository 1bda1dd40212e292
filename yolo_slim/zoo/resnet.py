"""ResNets: He et al., Deep Residual Learning, 2015, and Identity Mappings, 2016; Hu et al.,
Squeeze-and-Excitation, 2018."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from yolo_slim.zoo.trunk import CIFAR, Classifier, Trunk, pooled_logits

Kernel = tuple[int, int, int]
"""filters, size and stride of a convolution."""

Block = Callable[[int, int], tuple[Kernel, ...]]
"""(channels, stride) -> the convolutions of a residual block."""


def basic(channels: int, stride: int) -> tuple[Kernel, ...]:
    return (channels, 3, stride), (channels, 3, 1)


def bottleneck(channels: int, stride: int) -> tuple[Kernel, ...]:
    """Four times as many channels come out. Its 3x3 has the stride, as torchvision's."""
    return (channels, 1, 1), (channels, 3, stride), (4 * channels, 1, 1)


def residual(
    trunk: Trunk,
    kernels: Sequence[Kernel],
    source: int,
    projection_stride: int = 0,
    reduction: int = 0,
    ends_normed: bool = True,
) -> int:
    """Convolutions after the trunk's last map, and `source` added to what they give.

    projection_stride: of the 1x1 convolution on `source`; 0 adds `source` as it is: all of its
        channels, every so many of its pixels (option A of He et al.).
    reduction: of the block's squeeze-and-excitation; 0 for none.
    ends_normed: BatchNorm after the last convolutions and ReLU after the addition; neither where
        the next block starts with them.
    """
    *inner, (filters, size, stride) = kernels
    for kernel in inner:
        trunk.conv(*kernel, activation="relu")
    trunk.conv(filters, size, stride, batch_normalize=ends_normed)
    if reduction:
        trunk.squeeze_excite(filters, filters // reduction)
    if projection_stride:
        branch = trunk.last
        trunk.route(source)
        trunk.conv(filters, 1, projection_stride, batch_normalize=ends_normed)
        source = branch
    return trunk.shortcut(source, "relu" if ends_normed else "linear")


def resnet(
    block: Block, depths: Sequence[int], classes: int = 1000, reduction: int = 0
) -> Classifier:
    """Stages of `depths[i]` blocks, 64 * 2^i channels, stride 2^(i + 2), as torchvision's.

    reduction: r of a squeeze-and-excitation in every block, whose hidden layer has 1 / r of its
        channels; 0 for none.
    """
    trunk, ends = Trunk(), []
    trunk.stem(64, 7)
    width = 64
    for stage, depth in enumerate(depths):
        for stride in _strides(stage, depth):
            kernels = block(64 << stage, stride)
            widens = kernels[-1][0] != width
            residual(trunk, kernels, trunk.last, stride if widens else 0, reduction)
            width = kernels[-1][0]
        ends.append(trunk.last)
    return Classifier(tuple(trunk.sections), tuple(ends[1:]), pooled_logits(classes))


def seresnet50(classes: int = 1000, reduction: int = 16) -> Classifier:
    """ResNet-50 with a squeeze-and-excitation in every block, before the addition."""
    return resnet(bottleneck, (3, 4, 6, 3), classes, reduction)


def cifar_resnet(depth: int, classes: int = 10) -> Classifier:
    """Three stages of basic blocks, 16, 32 and 64 channels wide; depth = 6 n + 2.

    Shortcuts have no parameters (option A): a block that halves the map adds every other pixel of
    its input to the first half of its channels.
    """
    trunk = Trunk()
    trunk.conv(16, 3, activation="relu")
    for stage in range(3):
        for stride in _strides(stage, (depth - 2) // 6):
            residual(trunk, basic(16 << stage, stride), trunk.last)
    return Classifier(tuple(trunk.sections), (), pooled_logits(classes), CIFAR)


def cifar_preresnet(depth: int, classes: int = 10, block: Block = basic) -> Classifier:
    """As `cifar_resnet`, BatchNorm and ReLU before each convolution; depth = 6 n + 2, or 9 n + 2
    for bottlenecks.

    The first block of a stage reads its activated input in both branches; bottlenecks project it
    there, and basic blocks have shortcuts without parameters.
    """
    trunk = Trunk()
    trunk.conv(16, 3, activation="relu")
    for stage in range(3):
        for place, stride in enumerate(_strides(stage, (depth - 2) // (3 * len(block(16, 1))))):
            source = trunk.last
            if stage or place:  # the first block of all follows the BatchNorm and ReLU of the stem
                trunk.norm("relu")
            kernels, projection_stride = block(16 << stage, stride), 0
            if not place:
                source = trunk.last
                projection_stride = stride if block is bottleneck else 0
            residual(trunk, kernels, source, projection_stride, ends_normed=False)
    trunk.norm("relu")
    return Classifier(tuple(trunk.sections), (), pooled_logits(classes), CIFAR)


def _strides(stage: int, depth: int) -> tuple[int, ...]:
    """Of the blocks of a stage: the first halves the map, but for the first stage's."""
    return (2 if stage else 1, *(1,) * (depth - 1))


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "resnet18": partial(resnet, basic, (2, 2, 2, 2)),
    "resnet34": partial(resnet, basic, (3, 4, 6, 3)),
    "resnet50": partial(resnet, bottleneck, (3, 4, 6, 3)),
    "seresnet50": seresnet50,
    **{f"seresnet50-r{r}": partial(seresnet50, reduction=r) for r in (2, 4, 8, 16, 32)},
    "resnet20": partial(cifar_resnet, 20),
    "resnet56": partial(cifar_resnet, 56),
    "preresnet20": partial(cifar_preresnet, 20),
    "preresnet56": partial(cifar_preresnet, 56),
    "preresnet164": partial(cifar_preresnet, 164, block=bottleneck),
}
