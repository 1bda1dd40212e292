"""ShuffleNetV1 (Zhang et al., 2018) and ShuffleNetV2 (Ma et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from yolo_slim.cfg import LocalAvgpool
from yolo_slim.zoo.trunk import Classifier, Trunk, pooled_logits

DEPTHS = (4, 8, 4)
"""Units of the stages of strides 8, 16 and 32, in both versions."""

V1_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""groups -> channels of the stage of stride 8 at width 1.0x."""


def shufflenetv1(groups: int, classes: int = 1000) -> Classifier:
    """Pointwise convolutions in `groups` groups, their channels shuffled; width 1.0x.

    The shortcut's average pool reads a border of zeros in the original code; [local_avgpool] is
    the mean of the pixels inside of the map.
    """
    trunk, ends = Trunk(), []
    channels = 24
    trunk.stem(channels, 3)
    for stage, depth in enumerate(DEPTHS):
        width = V1_WIDTHS[groups] << stage
        # The 24 channels that the first unit of all reads are too few for groups.
        _unit_v1(trunk, width // 4, width - channels, 2, groups if stage else 1, groups)
        for _ in range(depth - 1):
            _unit_v1(trunk, width // 4, width, 1, groups, groups)
        channels = width
        ends.append(trunk.last)
    return Classifier(tuple(trunk.sections), tuple(ends), pooled_logits(classes))


def _unit_v1(
    trunk: Trunk, hidden: int, filters: int, stride: int, groups_in: int, groups: int
) -> int:
    """A bottleneck of grouped 1x1, depthwise 3x3 and grouped 1x1 convolutions.

    Its input is added; where the unit has a stride, the pooled input is joined in front instead.
    The ReLU that comes last leaves a mean of what had one as it is, so the convolution takes it.
    """
    start = trunk.last
    trunk.conv(hidden, activation="relu", groups=groups_in)
    if groups > 1:
        trunk.shuffle(groups)
    trunk.depthwise(hidden, 3, stride)
    if stride == 1:
        trunk.conv(filters, groups=groups)
        return trunk.shortcut(start, "relu")
    branch = trunk.conv(filters, activation="relu", groups=groups)
    trunk.route(start)
    pool = trunk.add(LocalAvgpool(size=3, stride=stride, padding_px=2))
    return trunk.route(pool, branch)


def shufflenetv2(widths: Sequence[int], last: int, classes: int = 1000) -> Classifier:
    """Units that split the channels, compute on one half and shuffle both, as torchvision's.

    widths: channels of the stages of strides 8, 16 and 32. last: of the 1x1 convolution at the end.
    """
    trunk, ends = Trunk(), []
    channels = 24
    trunk.stem(channels, 3)
    for width, depth in zip(widths, DEPTHS, strict=True):
        _halving_unit_v2(trunk, channels, width)
        for _ in range(depth - 1):
            _unit_v2(trunk, width)
        channels = width
        ends.append(trunk.last)
    stages = (*ends[:2], trunk.conv(last, activation="relu"))
    return Classifier(tuple(trunk.sections), stages, pooled_logits(classes))


def _unit_v2(trunk: Trunk, width: int) -> int:
    start = trunk.last
    kept = trunk.route(start, groups=2, group_id=0)
    trunk.route(start, groups=2, group_id=1)
    return _joined_v2(trunk, kept, width // 2, stride=1)


def _halving_unit_v2(trunk: Trunk, channels: int, width: int) -> int:
    """Both branches read all `channels` channels, and halve height and width."""
    start = trunk.last
    trunk.depthwise(channels, 3, stride=2)
    other = trunk.conv(width // 2, activation="relu")
    trunk.route(start)
    return _joined_v2(trunk, other, width // 2, stride=2)


def _joined_v2(trunk: Trunk, other: int, half: int, stride: int) -> int:
    """1x1, depthwise 3x3 and 1x1 convolutions; their map behind that of `other`, shuffled."""
    trunk.conv(half, activation="relu")
    trunk.depthwise(half, 3, stride)
    trunk.route(other, trunk.conv(half, activation="relu"))
    return trunk.shuffle(2)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    **{f"shufflenetv1-g{groups}": partial(shufflenetv1, groups) for groups in V1_WIDTHS},
    "shufflenetv2-0.5": partial(shufflenetv2, (48, 96, 192), 1024),
    "shufflenetv2-1.0": partial(shufflenetv2, (116, 232, 464), 1024),
    "shufflenetv2-1.5": partial(shufflenetv2, (176, 352, 704), 1024),
    "shufflenetv2-2.0": partial(shufflenetv2, (244, 488, 976), 2048),
}
