"""The document: typed, frozen sections of a Darknet cfg, and the list of them.

    Cfg = Net + (Conv | Shortcut | Route | Maxpool | Upsample | Avgpool | ScaleChannels
                 | Dropout | Yolo)*

Links between sections are absolute indices (0 is the first section after [net]; -1 is the image).
How a link is printed is a matter of `text.render`. Keys that do not change what the network
computes (learning rates, jitter...) are kept, in order, in `extras`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Extras = tuple[tuple[str, str], ...]

IMAGE = -1
"""The link that stands for the image itself."""

ACTIVATIONS = (
    "linear", "leaky", "relu", "relu6", "logistic", "tanh", "mish", "swish", "elu", "selu", "gelu",
)  # fmt: skip
"""Activations that every floor knows; the names are Darknet's."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What every section has: the line it was read from and the keys that compute nothing."""

    kind: ClassVar[str]
    line: int = field(default=0, compare=False)
    extras: Extras = ()

    def links(self, index: int) -> tuple[int, ...]:
        """Indices of the sections that this one, at place `index`, reads from."""
        return (index - 1,)


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
class Conv(Section):
    """[convolutional]. `padding_px` is Darknet's number, to be multiplied by the dilation."""

    kind: ClassVar[str] = "convolutional"
    filters: int = 1
    size: int = 1
    stride: int = 1
    padding_px: int = 0
    dilation: int = 1
    groups: int = 1
    batch_normalize: bool = False
    activation: str = "logistic"


@dataclass(frozen=True, kw_only=True)
class Shortcut(Section):
    """[shortcut]: adds to the section before it the first channels of each source."""

    kind: ClassVar[str] = "shortcut"
    sources: tuple[int, ...]
    activation: str = "linear"

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
class Maxpool(Section):
    """[maxpool]: output = (input + padding - size) // stride + 1, shifted by padding // 2."""

    kind: ClassVar[str] = "maxpool"
    size: int = 1
    stride: int = 1
    padding_px: int = 0


@dataclass(frozen=True, kw_only=True)
class Upsample(Section):
    """[upsample]: repeats each pixel stride x stride times."""

    kind: ClassVar[str] = "upsample"
    stride: int = 2


@dataclass(frozen=True, kw_only=True)
class Avgpool(Section):
    """[avgpool]: mean over the whole map, to 1 x 1."""

    kind: ClassVar[str] = "avgpool"


@dataclass(frozen=True, kw_only=True)
class ScaleChannels(Section):
    """[scale_channels]: the map of `source` times the 1 x 1 map before this section."""

    kind: ClassVar[str] = "scale_channels"
    source: int
    activation: str = "linear"

    def links(self, index: int) -> tuple[int, ...]:
        return (index - 1, self.source)


@dataclass(frozen=True, kw_only=True)
class Dropout(Section):
    """[dropout]: nothing at inference."""

    kind: ClassVar[str] = "dropout"
    probability: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Yolo(Section):
    """[yolo]: how the raw map before it is read as boxes.

    anchors_wh: all anchors of the network in pixels of the input, [num][2]; `mask` picks this
    head's. The map has len(mask) * (5 + classes) channels: x, y, w, h, objectness, classes.
    """

    kind: ClassVar[str] = "yolo"
    mask: tuple[int, ...]
    anchors_wh: tuple[tuple[float, float], ...]
    classes: int = 20
    scale_x_y: float = 1.0
    new_coords: bool = False
    ignore_thresh: float = 0.5
    iou_thresh: float = 1.0
    objectness_smooth: bool = False

    @property
    def masked_anchors_wh(self) -> tuple[tuple[float, float], ...]:
        return tuple(self.anchors_wh[m] for m in self.mask)

    @property
    def head_filters(self) -> int:
        return len(self.mask) * (5 + self.classes)


@dataclass(frozen=True)
class Cfg:
    """A network as a document. Everything that is asked about the architecture is asked of it.

    >>> from yolo_slim.cfg import parse
    >>> cfg = parse("[net]\\nwidth=32\\nheight=32\\n[convolutional]\\nfilters=8\\nsize=1\\n")
    >>> cfg[0].filters
    8
    """

    net: Net
    sections: tuple[Section, ...]
    source: str = field(default="<cfg>", compare=False)

    def __len__(self) -> int:
        return len(self.sections)

    def __iter__(self) -> Iterator[Section]:
        return iter(self.sections)

    def __getitem__(self, index: int) -> Section:
        return self.sections[index]

    def where(self, index: int) -> str:
        """'file:line [kind]' of a section, for messages; 'section N' if it was not read."""
        section = self.net if index == IMAGE else self.sections[index]
        place = (
            f"{self.source}:{section.line}" if section.line else f"{self.source} section {index}"
        )
        return f"{place} [{section.kind}]"

    def links(self, index: int) -> tuple[int, ...]:
        return self.sections[index].links(index)

    @property
    def yolo_indices(self) -> tuple[int, ...]:
        return tuple(i for i, s in enumerate(self.sections) if isinstance(s, Yolo))

    @property
    def yolos(self) -> tuple[Yolo, ...]:
        return tuple(s for s in self.sections if isinstance(s, Yolo))

    @property
    def n_classes(self) -> int:
        """Classes of the detector; 0 where there is no [yolo] section."""
        return self.yolos[0].classes if self.yolos else 0

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.net.height, self.net.width

    @property
    def resize_mode(self) -> Literal["letterbox", "stretch"]:
        """How an image becomes an input: 'letterbox' or 'stretch'."""
        return "letterbox" if self.net.letter_box else "stretch"
