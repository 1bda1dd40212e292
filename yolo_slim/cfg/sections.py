"""The sections of a Darknet cfg that compute something: typed and frozen.

Links between sections are absolute indices (0 is the first section after [net]; -1 is the image).
How a link is printed is a matter of `text.render`. Keys that do not change what the network
computes (learning rates, jitter...) are kept, in order, in `extras`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

Extras = tuple[tuple[str, str], ...]

IMAGE = -1
"""The link that stands for the image itself."""

DARKNET_ACTIVATIONS = (
    "linear", "leaky", "relu", "relu6", "logistic", "tanh", "mish", "hard_mish", "swish", "elu",
    "selu", "gelu", "ramp", "hardtan", "loggy", "plse", "stair", "relie", "lhtan",
)  # fmt: skip
EXTENSION_ACTIVATIONS = ("hswish", "hsigmoid")
"""Ours alone. Darknet takes an activation that it does not know for ReLU, without an error."""

ACTIVATIONS = DARKNET_ACTIVATIONS + EXTENSION_ACTIVATIONS
"""Activations that every floor knows; the names are Darknet's."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What every section has: the line it was read from and the keys that compute nothing."""

    kind: ClassVar[str]
    is_extension: ClassVar[bool] = False
    """Whether Darknet has no such section."""

    line: int = field(default=0, compare=False)
    extras: Extras = ()

    def links(self, index: int) -> tuple[int, ...]:
        """Indices of the sections that this one, at place `index`, reads from."""
        return (index - 1,)

    def without_extras(self) -> Self:
        """What it computes: equal for sections that differ in keys for training alone."""
        return replace(self, extras=())


@dataclass(frozen=True, kw_only=True)
class Net(Section):
    """[net]: size of the input and conventions of the whole network.

    bn_eps, mean and std are extension keys: the epsilon of every BatchNorm, and the normalisation
    (pixel / 255 - mean) / std per channel (RGB) before the first section.
    """

    kind: ClassVar[str] = "net"
    width: int = 416
    height: int = 416
    channels: int = 3
    letter_box: bool = False
    bn_eps: float = 1e-5
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Strided(Section):
    """What moves a window over a map. stride_x, stride_y: 0 takes `stride`."""

    size: int = 1
    stride: int = 1
    stride_x: int = 0
    stride_y: int = 0
    padding_px: int = 0

    @property
    def strides_hw(self) -> tuple[int, int]:
        return self.stride_y or self.stride, self.stride_x or self.stride


@dataclass(frozen=True, kw_only=True)
class Conv(Strided):
    """[convolutional]. `padding_px` is Darknet's number, to be multiplied by the dilation.

    share_index: the section whose kernel, bias and BatchNorm this one uses; None for its own.
    xnor: input and kernel become signs, the kernel times its mean size (Rastegari et al., 2016).
    """

    kind: ClassVar[str] = "convolutional"
    filters: int = 1
    dilation: int = 1
    groups: int = 1
    batch_normalize: bool = False
    activation: str = "logistic"
    share_index: int | None = None
    xnor: bool = False


WeightsType = Literal["none", "per_feature", "per_channel"]
WeightsNormalization = Literal["none", "relu", "softmax"]


@dataclass(frozen=True, kw_only=True)
class Shortcut(Section):
    """[shortcut]: adds to the section before it the first channels of each source.

    Of a source that is larger in height and width by a whole number every so many pixels are read.
    weights_type: each operand times a learnt number, one for the map or one for each channel.
    weights_normalization: how these numbers are made to add up to 1 over the operands.
    """

    kind: ClassVar[str] = "shortcut"
    sources: tuple[int, ...]
    activation: str = "linear"
    weights_type: WeightsType = "none"
    weights_normalization: WeightsNormalization = "none"

    def links(self, index: int) -> tuple[int, ...]:
        return (index - 1, *self.sources)


@dataclass(frozen=True, kw_only=True)
class Route(Section):
    """[route]: concatenates the `group_id`-th of `groups` equal parts of each source."""

    kind: ClassVar[str] = "route"
    sources: tuple[int, ...]
    groups: int = 1
    group_id: int = 0

    def links(self, index: int) -> tuple[int, ...]:
        return self.sources


@dataclass(frozen=True, kw_only=True)
class Maxpool(Strided):
    """[maxpool]: output = (input + padding - size) // stride + 1, shifted by padding // 2.

    depth_channels: if not 0, the maximum is taken over channels k, k + depth_channels... instead
    (`maxpool_depth=1 out_channels=N`).
    """

    kind: ClassVar[str] = "maxpool"
    depth_channels: int = 0


@dataclass(frozen=True, kw_only=True)
class LocalAvgpool(Strided):
    """[local_avgpool]: as [maxpool], the mean of the pixels that lie inside of the map."""

    kind: ClassVar[str] = "local_avgpool"


@dataclass(frozen=True, kw_only=True)
class Upsample(Section):
    """[upsample]: repeats each pixel stride x stride times, times `scale`."""

    kind: ClassVar[str] = "upsample"
    stride: int = 2
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Reorg(Section):
    """[reorg]: space to depth, in the index order of YOLOv2.

    That order reads the map's memory as one of channels / stride^2 channels and stride times the
    height and width, takes it apart into stride x stride phases, and reads the result as
    channels x stride^2 channels of 1 / stride the height and width.
    """

    kind: ClassVar[str] = "reorg"
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Reorg3d(Section):
    """[reorg3d]: space to depth; output channel = (row phase * stride + column phase) * C + c."""

    kind: ClassVar[str] = "reorg3d"
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Avgpool(Section):
    """[avgpool]: mean over the whole map, to 1 x 1."""

    kind: ClassVar[str] = "avgpool"


@dataclass(frozen=True, kw_only=True)
class Gate(Section):
    """Two maps, multiplied: the one before the section, and that of `source`."""

    source: int
    activation: str = "linear"

    def links(self, index: int) -> tuple[int, ...]:
        return (index - 1, self.source)


@dataclass(frozen=True, kw_only=True)
class ScaleChannels(Gate):
    """[scale_channels]: the map of `source` times the 1 x 1 map before this section.

    scale_wh: the map before this section has 1 channel and the height and width of `source`.
    """

    kind: ClassVar[str] = "scale_channels"
    scale_wh: bool = False


@dataclass(frozen=True, kw_only=True)
class Sam(Gate):
    """[sam]: the map of `source` times the map of the same shape before this section."""

    kind: ClassVar[str] = "sam"


@dataclass(frozen=True, kw_only=True)
class Dropout(Section):
    """[dropout]: nothing at inference."""

    kind: ClassVar[str] = "dropout"
    probability: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Batchnorm(Section):
    """[batchnorm]: a BatchNorm of its own, gamma and beta learnt."""

    kind: ClassVar[str] = "batchnorm"


@dataclass(frozen=True, kw_only=True)
class Activation(Section):
    """[activation]: an activation of its own."""

    kind: ClassVar[str] = "activation"
    activation: str = "linear"


@dataclass(frozen=True, kw_only=True)
class Connected(Section):
    """[connected]: every output reads every value of the map; the result is `output` x 1 x 1."""

    kind: ClassVar[str] = "connected"
    output: int = 1
    batch_normalize: bool = False
    activation: str = "logistic"


@dataclass(frozen=True, kw_only=True)
class Local(Section):
    """[local]: a convolution with a kernel of its own at every place."""

    kind: ClassVar[str] = "local"
    filters: int = 1
    size: int = 1
    stride: int = 1
    padding_px: int = 0
    activation: str = "logistic"


@dataclass(frozen=True, kw_only=True)
class Crop(Section):
    """[crop]: the middle of the image; pixels 0..1 become -1..1 unless `noadjust`."""

    kind: ClassVar[str] = "crop"
    crop_height: int = 1
    crop_width: int = 1
    noadjust: bool = False


@dataclass(frozen=True, kw_only=True)
class Softmax(Section):
    """[softmax]: over all values of the map, in `groups` equal parts; over channels if spatial."""

    kind: ClassVar[str] = "softmax"
    groups: int = 1
    temperature: float = 1.0
    spatial: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost(Section):
    """[cost]: the loss of a Darknet classifier; passes its input on."""

    kind: ClassVar[str] = "cost"


@dataclass(frozen=True, kw_only=True)
class Select(Section):
    """[select]: the named channels of the map, in that order (channel selection of Liu et al.,
    Network Slimming, 2017, for networks whose BatchNorm comes before the convolution)."""

    kind: ClassVar[str] = "select"
    is_extension: ClassVar[bool] = True
    channels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Shuffle(Section):
    """[shuffle]: channel g * (C / groups) + k moves to k * groups + g (Zhang et al., ShuffleNet,
    2018)."""

    kind: ClassVar[str] = "shuffle"
    is_extension: ClassVar[bool] = True
    groups: int = 2
