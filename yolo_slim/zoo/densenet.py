"""DenseNets: Huang et al., Densely Connected Convolutional Networks, 2017."""

from __future__ import annotations

from collections.abc import Callable

from yolo_slim.cfg import LocalAvgpool
from yolo_slim.zoo.trunk import CIFAR, Classifier, Trunk, pooled_logits


def dense_block(trunk: Trunk, n_layers: int, growth: int, bottleneck: int = 0) -> int:
    """Each layer reads all maps before it, from the trunk's last on, and adds one of `growth`
    channels. BatchNorm and ReLU come before each convolution.

    bottleneck: width of a 1x1 convolution before the 3x3; 0 for none.
    """
    for _ in range(n_layers):
        features = trunk.last
        trunk.norm("relu")
        if bottleneck:
            trunk.conv(bottleneck, activation="relu")
        trunk.route(features, trunk.conv(growth, 3, batch_normalize=False))
    return trunk.last


def transition(trunk: Trunk, channels: int) -> int:
    """To `channels` channels and half the height and width."""
    trunk.norm("relu")
    trunk.conv(channels, batch_normalize=False)
    return trunk.add(LocalAvgpool(size=2, stride=2, padding_px=0))


def densenet121(classes: int = 1000) -> Classifier:
    """Blocks of 6, 12, 24 and 16 layers that grow by 32 channels, as torchvision's.

    In a cfg a convolution without a BatchNorm has a bias: 2,752 numbers that theirs has not.
    """
    growth, channels = 32, 64
    trunk, ends = Trunk(), []
    trunk.stem(channels, 7)
    for stage, n_layers in enumerate((6, 12, 24, 16)):
        if stage:
            channels //= 2
            transition(trunk, channels)
        ends.append(dense_block(trunk, n_layers, growth, bottleneck=4 * growth))
        channels += n_layers * growth
    stages = (*ends[1:3], trunk.norm("relu"))
    return Classifier(tuple(trunk.sections), stages, pooled_logits(classes))


def densenet40(classes: int = 10) -> Classifier:
    """Three blocks of 12 layers that grow by 12 channels, for CIFAR: neither bottlenecks nor
    compression."""
    growth, channels = 12, 16
    trunk = Trunk()
    trunk.conv(channels, 3, batch_normalize=False)
    for stage in range(3):
        if stage:
            transition(trunk, channels)
        dense_block(trunk, 12, growth)
        channels += 12 * growth
    trunk.norm("relu")
    return Classifier(tuple(trunk.sections), (), pooled_logits(classes), CIFAR)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "densenet40": densenet40,
    "densenet121": densenet121,
}
