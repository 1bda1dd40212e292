"""VGG with BatchNorm: Simonyan and Zisserman, Very Deep Convolutional Networks, 2014."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from yolo_slim.cfg import Connected, Dropout, Maxpool
from yolo_slim.zoo.trunk import Classifier, Trunk


def vgg(depths: Sequence[int], classes: int = 1000) -> Classifier:
    """Stages of `depths[i]` 3x3 convolutions, 64 * 2^i but at most 512 channels wide, a pool after
    each, as torchvision's vgg16_bn and vgg19_bn.

    Theirs have a bias before each BatchNorm, which takes it off again; in a cfg there is none.
    The maps of strides 8 and 16 are those before the pool. The matrices read a map of 7x7, so the
    classifier's weights are for images of 224x224.
    """
    trunk, ends = Trunk(), []
    for stage, depth in enumerate(depths):
        for _ in range(depth):
            trunk.conv(min(64 << stage, 512), 3, activation="relu")
        ends.append(trunk.last)
        trunk.add(Maxpool(size=2, stride=2, padding_px=0))
    hidden = (Connected(output=4096, activation="relu"), Dropout(probability=0.5))
    top = (*hidden, *hidden, Connected(output=classes, activation="linear"))
    return Classifier(tuple(trunk.sections), (*ends[3:], trunk.last), top)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "vgg16": partial(vgg, (2, 2, 3, 3, 3)),
    "vgg19": partial(vgg, (2, 2, 4, 4, 4)),
}
