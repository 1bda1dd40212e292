"""What a network costs, read off its document: parameters, multiply-accumulates, map sizes."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.cfg.sections import Cfg, Conv, Section
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape


@dataclass(frozen=True)
class SectionCost:
    """One section's share.

    parameters: what an optimizer may change (kernels, biases, gamma, beta); running statistics
        are not counted, as torchvision counts.
    weights_file_floats: numbers a Darknet .weights file holds for it, running statistics included.
    macs: multiply-accumulates of the convolution for one image (half of what Darknet prints as
        FLOPs); BatchNorm and activations are not counted.
    """

    index: int
    section: Section
    in_channels: int
    shape: Shape
    parameters: int
    weights_file_floats: int
    macs: int


@dataclass(frozen=True)
class Totals:
    parameters: int
    weights_file_floats: int
    macs: int


def measure(cfg: Cfg) -> tuple[SectionCost, ...]:
    """Cost of each section at the cfg's own input size.

    >>> from yolo_slim.zoo import build
    >>> sum(cost.parameters for cost in measure(build("yolov3-tiny")))
    8852366
    """
    shapes = infer_shapes(cfg)
    costs = []
    for index, section in enumerate(cfg):
        in_channels = input_shape(cfg, shapes, index).channels
        shape = shapes[index]
        parameters = floats = macs = 0
        if isinstance(section, Conv):
            kernel = section.filters * (in_channels // section.groups) * section.size**2
            parameters = kernel + section.filters * (2 if section.batch_normalize else 1)
            floats = kernel + section.filters * (4 if section.batch_normalize else 1)
            macs = kernel * shape.height * shape.width
        costs.append(SectionCost(index, section, in_channels, shape, parameters, floats, macs))
    return tuple(costs)


def totals(cfg: Cfg) -> Totals:
    """Sums of `measure` over the whole network."""
    costs = measure(cfg)
    return Totals(
        sum(c.parameters for c in costs),
        sum(c.weights_file_floats for c in costs),
        sum(c.macs for c in costs),
    )
