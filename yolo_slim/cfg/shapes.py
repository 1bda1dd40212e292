"""The shape of every section's output, and the rules that make sections fit together."""

from __future__ import annotations

from typing import NamedTuple

from yolo_slim.cfg.sections import (
    IMAGE,
    Avgpool,
    Cfg,
    Conv,
    Maxpool,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Upsample,
    Yolo,
)
from yolo_slim.errors import CfgError


class Shape(NamedTuple):
    """Channels, height and width of a map."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


def infer_shapes(cfg: Cfg) -> tuple[Shape, ...]:
    """Output shape of each section. Raises CfgError where two sections do not fit."""
    image = Shape(cfg.net.channels, cfg.net.height, cfg.net.width)
    shapes: list[Shape] = []
    for index, section in enumerate(cfg):
        inputs = [image if link == IMAGE else shapes[link] for link in cfg.links(index)]
        shape = _output_shape(cfg, index, section, inputs)
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


def _output_shape(cfg: Cfg, index: int, section: Section, inputs: list[Shape]) -> Shape:
    first = inputs[0]
    match section:
        case Conv():
            if first.channels % section.groups or section.filters % section.groups:
                raise CfgError(
                    f"{cfg.where(index)} groups={section.groups} must divide its "
                    f"{first.channels} input channels and its {section.filters} filters"
                )
            if section.dilation > 1 and section.size != 2 * section.padding_px + 1:
                # Darknet leaves the dilation out of the output's size: right for this case only.
                raise CfgError(
                    f"{cfg.where(index)} dilation={section.dilation} needs an odd size and "
                    f"pad=1, found size={section.size} padding={section.padding_px}"
                )
            height, width = (
                (side + 2 * section.padding_px - section.size) // section.stride + 1
                for side in (first.height, first.width)
            )
            return Shape(section.filters, height, width)
        case Maxpool():
            height, width = (
                (side + section.padding_px - section.size) // section.stride + 1
                for side in (first.height, first.width)
            )
            return Shape(first.channels, height, width)
        case Upsample():
            return Shape(
                first.channels, first.height * section.stride, first.width * section.stride
            )
        case Avgpool():
            return Shape(first.channels, 1, 1)
        case Shortcut():
            for link, other in zip(section.sources, inputs[1:], strict=True):
                if other[1:] != first[1:]:
                    raise CfgError(
                        f"{cfg.where(index)} adds section {link} ({other}) to section "
                        f"{index - 1} ({first}): height and width must be equal"
                    )
            return first
        case ScaleChannels():
            source = inputs[1]
            if first != (source.channels, 1, 1):
                raise CfgError(
                    f"{cfg.where(index)} scales section {section.source} ({source}) by section "
                    f"{index - 1} ({first}): expected {source.channels}x1x1"
                )
            return source
        case Route():
            for link, other in zip(section.sources, inputs, strict=True):
                if other[1:] != first[1:]:
                    raise CfgError(
                        f"{cfg.where(index)} joins section {link} ({other}) to section "
                        f"{section.sources[0]} ({first}): height and width must be equal"
                    )
                if other.channels % section.groups:
                    raise CfgError(
                        f"{cfg.where(index)} groups={section.groups} does not divide the "
                        f"{other.channels} channels of section {link}"
                    )
            channels = sum(other.channels // section.groups for other in inputs)
            return Shape(channels, first.height, first.width)
        case Yolo():
            if first.channels != section.head_filters:
                raise CfgError(
                    f"{cfg.where(index)} reads {first.channels} channels, expected "
                    f"{len(section.mask)} anchors x (5 + {section.classes} classes) = "
                    f"{section.head_filters}: set filters={section.head_filters} in the "
                    "[convolutional] before it"
                )
    return first
