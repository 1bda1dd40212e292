"""The shape of every section's output, and the rules that make sections fit together."""

from __future__ import annotations

from typing import NamedTuple

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Detection, Head, Yolo
from yolo_slim.cfg.sections import (
    IMAGE,
    Avgpool,
    Connected,
    Conv,
    Crop,
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
    Shortcut,
    Shuffle,
    Softmax,
    Upsample,
)
from yolo_slim.errors import CfgError


class Shape(NamedTuple):
    """Channels, height and width of a map."""

    channels: int
    height: int
    width: int

    @property
    def values(self) -> int:
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


def infer_shapes(cfg: Cfg) -> tuple[Shape, ...]:
    """Output shape of each section. Raises CfgError where two sections do not fit."""
    image = Shape(cfg.net.channels, cfg.net.height, cfg.net.width)
    shapes: list[Shape] = []
    for index, section in enumerate(cfg):
        inputs = [image if link == IMAGE else shapes[link] for link in cfg.links(index)]
        shape = _Place(cfg, index, section, inputs).output()
        if shape.height < 1 or shape.width < 1:
            raise CfgError(
                f"{cfg.where(index)} has an empty output {shape}: its input is {inputs[0]}. "
                f"The network's input of {image.width}x{image.height} px is too small"
            )
        shapes.append(shape)
    return tuple(shapes)


def input_shape(cfg: Cfg, shapes: tuple[Shape, ...], index: int) -> Shape:
    """Shape of the first input of section `index`."""
    link = cfg.links(index)[0]
    net = cfg.net
    return Shape(net.channels, net.height, net.width) if link == IMAGE else shapes[link]


class _Place:
    """One section among its neighbours: what it reads, and what is told where that does not fit."""

    def __init__(self, cfg: Cfg, index: int, section: Section, inputs: list[Shape]) -> None:
        self.cfg, self.index, self.section, self.inputs = cfg, index, section, inputs

    def output(self) -> Shape:
        first, section = self.inputs[0], self.section
        channels, height, width = first
        match section:
            case Conv():
                return self.conv(section)
            case Maxpool() | LocalAvgpool():
                if isinstance(section, Maxpool) and section.depth_channels:
                    return self.depth_pool(section)
                sides = (
                    (side + section.padding_px - section.size) // stride + 1
                    for side, stride in zip((height, width), section.strides_hw, strict=True)
                )
                return Shape(channels, *sides)
            case Upsample(stride=stride):
                return Shape(channels, height * stride, width * stride)
            case Reorg(stride=stride) | Reorg3d(stride=stride):
                self.require(
                    height % stride == 0 and width % stride == 0,
                    f"stride={stride} does not divide the {height}x{width} map it reads",
                )
                self.require(
                    isinstance(section, Reorg3d) or channels % stride**2 == 0,
                    f"stride={stride}: {channels} channels are no multiple of {stride**2}",
                )
                return Shape(channels * stride**2, height // stride, width // stride)
            case Avgpool():
                return Shape(channels, 1, 1)
            case Shortcut():
                for link, other in zip(section.sources, self.inputs[1:], strict=True):
                    stride = max(1, other.height // height)
                    self.require(
                        other[1:] == (stride * height, stride * width),
                        f"adds section {link} ({other}) to section {self.index - 1} ({first}): "
                        "height and width must be equal, or a whole multiple",
                    )
            case ScaleChannels() | Sam():
                return self.gated(section)
            case Route():
                return self.route(section)
            case Connected():
                return Shape(section.output, 1, 1)
            case Local():
                sides = (
                    (side + 2 * section.padding_px - section.size) // section.stride + 1
                    for side in (height, width)
                )
                return Shape(section.filters, *sides)
            case Crop(crop_height=crop_height, crop_width=crop_width):
                self.require(
                    crop_height <= height and crop_width <= width,
                    f"crops {crop_height}x{crop_width} out of {height}x{width}: expected less",
                )
                return Shape(channels, crop_height, crop_width)
            case Softmax(groups=groups):
                self.require(
                    first.values % groups == 0,
                    f"groups={groups} does not divide the {first.values} values it reads",
                )
            case Select(channels=selected):
                self.require(
                    all(channel < channels for channel in selected),
                    f"selects channel {max(selected)}, and reads channels 0 to {channels - 1}",
                )
                return Shape(len(selected), height, width)
            case Shuffle(groups=groups):
                self.require(
                    channels % groups == 0,
                    f"groups={groups} does not divide the {channels} channels it reads",
                )
            case Head():
                self.head(section)
        return first

    def conv(self, section: Conv) -> Shape:
        channels, *sides = self.inputs[0]
        self.require(
            channels % section.groups == 0 and section.filters % section.groups == 0,
            f"groups={section.groups} must divide its {channels} input channels and its "
            f"{section.filters} filters",
        )
        # Darknet leaves the dilation out of the output's size: right for this case only.
        self.require(
            section.dilation == 1 or section.size == 2 * section.padding_px + 1,
            f"dilation={section.dilation} needs an odd size and pad=1, found "
            f"size={section.size} padding={section.padding_px}",
        )
        height, width = (
            (side + 2 * section.padding_px - section.size) // stride + 1
            for side, stride in zip(sides, section.strides_hw, strict=True)
        )
        return Shape(section.filters, height, width)

    def depth_pool(self, section: Maxpool) -> Shape:
        channels, height, width = self.inputs[0]
        self.require(
            section.depth_channels <= channels,
            f"out_channels={section.depth_channels} of {channels} channels: expected at most "
            "as many",
        )
        return Shape(section.depth_channels, height, width)

    def gated(self, section: ScaleChannels | Sam) -> Shape:
        first, source = self.inputs
        expected = source
        if isinstance(section, ScaleChannels):
            expected = (
                source._replace(channels=1)
                if section.scale_wh
                else source._replace(height=1, width=1)
            )
        self.require(
            first == expected,
            f"scales section {section.source} ({source}) by section {self.index - 1} ({first}): "
            f"expected {expected}",
        )
        return source

    def route(self, section: Route) -> Shape:
        first = self.inputs[0]
        for link, other in zip(section.sources, self.inputs, strict=True):
            self.require(
                other[1:] == first[1:],
                f"joins section {link} ({other}) to section {section.sources[0]} ({first}): "
                "height and width must be equal",
            )
            self.require(
                other.channels % section.groups == 0,
                f"groups={section.groups} does not divide the {other.channels} channels of "
                f"section {link}",
            )
        channels = sum(other.channels // section.groups for other in self.inputs)
        return Shape(channels, first.height, first.width)

    def head(self, section: Head) -> None:
        first, expected = self.inputs[0], section.head_filters
        if isinstance(section, Detection):
            self.require(
                first.values == expected,
                f"reads {first.values} values, expected {section.side} x {section.side} x "
                f"({section.classes} classes + {section.num} boxes x 5) = {expected}",
            )
            return
        detail = f"{section.head_filters} channels"
        if isinstance(section, Yolo):
            detail = (
                f"{len(section.mask)} anchors x ({section.values_per_box} + "
                f"{section.classes} classes) = {expected}"
            )
        self.require(
            first.channels == expected,
            f"reads {first.channels} channels, expected {detail}: set filters={expected} in the "
            "[convolutional] before it",
        )

    def require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise CfgError(f"{self.cfg.where(self.index)} {otherwise}")
