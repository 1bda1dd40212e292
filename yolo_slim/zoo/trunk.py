"""What the families of the zoo are built with: a list of sections that grows, and its results."""

from __future__ import annotations

from dataclasses import dataclass, field

from yolo_slim.cfg import (
    Activation,
    Avgpool,
    Batchnorm,
    Cfg,
    Connected,
    Conv,
    Maxpool,
    Net,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Shuffle,
    verify,
)

IMAGENET = Net(
    width=224, height=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5
)
"""What torchvision's and timm's ImageNet networks read."""

CIFAR = Net(width=32, height=32, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
"""What the code beside Liu et al., Network Slimming, 2017, makes of CIFAR's images."""


@dataclass
class Trunk:
    """Sections of a network in the making. Every method appends and returns the index of the last
    section that it wrote, for others to link to.

    >>> trunk = Trunk()
    >>> start = trunk.conv(16, 3, stride=2, activation="relu")
    >>> _ = trunk.conv(16, 3, activation="relu", groups=16)
    >>> trunk.shortcut(start)
    2
    """

    sections: list[Section] = field(default_factory=list)

    @property
    def last(self) -> int:
        return len(self.sections) - 1

    def add(self, section: Section) -> int:
        self.sections.append(section)
        return self.last

    def conv(
        self, filters: int, size: int = 1, stride: int = 1, activation: str = "linear",
        groups: int = 1, batch_normalize: bool = True,
    ) -> int:  # fmt: skip
        """A convolution that keeps the size of the map at stride 1, with BatchNorm or a bias."""
        return self.add(
            Conv(
                filters=filters,
                size=size,
                stride=stride,
                padding_px=size // 2,
                groups=groups,
                batch_normalize=batch_normalize,
                activation=activation,
            )
        )

    def stem(self, filters: int, size: int) -> int:
        """A convolution and a 3x3 pool, both of stride 2: the start of most ImageNet networks."""
        self.conv(filters, size, stride=2, activation="relu")
        return self.maxpool(3, stride=2)

    def norm(self, activation: str) -> int:
        """BatchNorm and activation of their own, for networks that have them before a convolution
        (He et al., Identity Mappings in Deep Residual Networks, 2016)."""
        self.add(Batchnorm())
        return self.add(Activation(activation=activation))

    def depthwise(
        self, channels: int, size: int, stride: int = 1, activation: str = "linear"
    ) -> int:
        return self.conv(channels, size, stride, activation, groups=channels)

    def maxpool(self, size: int, stride: int) -> int:
        """As torch's MaxPool2d(size, stride, padding=size // 2) for odd sizes."""
        return self.add(Maxpool(size=size, stride=stride, padding_px=size - 1))

    def shortcut(self, source: int, activation: str = "linear") -> int:
        return self.add(Shortcut(sources=(source,), activation=activation))

    def route(self, *sources: int, groups: int = 1, group_id: int = 0) -> int:
        return self.add(Route(sources=sources, groups=groups, group_id=group_id))

    def shuffle(self, groups: int) -> int:
        return self.add(Shuffle(groups=groups))

    def squeeze_excite(
        self, channels: int, hidden: int, inner: str = "relu", gate: str = "logistic"
    ) -> int:
        """The last map times a gate for each channel (Hu et al., Squeeze-and-Excitation, 2018)."""
        source = self.last
        self.add(Avgpool())
        self.conv(hidden, activation=inner, batch_normalize=False)
        self.conv(channels, activation=gate, batch_normalize=False)
        return self.add(ScaleChannels(source=source))


@dataclass(frozen=True)
class Backbone:
    """Sections, and the maps that heads join again on their way up: each twice as fine as the one
    before it, the first twice as fine as where the sections end."""

    sections: tuple[Section, ...]
    laterals: tuple[int, ...]


@dataclass(frozen=True)
class Classifier:
    """An image classifier, and the backbone that a detector takes from it.

    trunk: the sections up to the last map of stride 32 (the coarsest, for CIFAR's networks).
    stages: indices of the last maps of strides 8, 16 and 32; empty where no detector is meant.
    top: the sections from there to the logits, numbered on from the trunk.
    net: input size, mean, std and BatchNorm epsilon of its published weights. A cfg takes the size
        alone: images are 0 to 1 and the epsilon is Darknet's until such weights are imported.
    """

    trunk: tuple[Section, ...]
    stages: tuple[int, ...]
    top: tuple[Section, ...]
    net: Net = IMAGENET

    def cfg(self, name: str) -> Cfg:
        """The whole classifier, logits last."""
        net = Net(width=self.net.width, height=self.net.height)
        cfg = Cfg(net, (*self.trunk, *self.top), source=name)
        verify(cfg)
        return cfg

    def backbone(self) -> Backbone:
        assert self.stages and self.stages[-1] == len(self.trunk) - 1
        return Backbone(self.trunk, laterals=tuple(reversed(self.stages[:-1])))


def pooled_logits(classes: int) -> tuple[Section, ...]:
    """The top of most classifiers: the mean over the map, and one matrix."""
    return (Avgpool(), Connected(output=classes, activation="linear"))
