"""What a network costs, read off its document: parameters, multiply-accumulates, map sizes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head
from yolo_slim.cfg.sections import Connected, Conv, Cost, Dropout, Local, Route, Section
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape
from yolo_slim.cfg.tensors import RUNNING_STATISTICS, tensor_shapes


@dataclass(frozen=True)
class SectionCost:
    """One section's share.

    parameters: what an optimizer may change (kernels, biases, gamma, beta); running statistics
        are not counted, as torchvision counts.
    weights_file_floats: numbers a Darknet .weights file holds for it, running statistics included.
    macs: multiply-accumulates of its kernel for one image (half of what Darknet prints as
        FLOPs); BatchNorm, activations and element-wise sections are not counted.
    traffic_bytes: memory access cost of one image in float32: maps read and written once, and the
        kernel (Ma et al., ShuffleNet V2, 2018). 0 for a section that an engine leaves out.
    """

    index: int
    section: Section
    in_channels: int
    shape: Shape
    parameters: int
    weights_file_floats: int
    macs: int
    traffic_bytes: int

    @property
    def map_bytes(self) -> int:
        """Size of the output for one image in float32."""
        return 4 * self.shape.values


@dataclass(frozen=True)
class Totals:
    """Sums over a network of what SectionCost counts for a section."""

    parameters: int
    weights_file_floats: int
    macs: int
    traffic_bytes: int


def measure(cfg: Cfg) -> tuple[SectionCost, ...]:
    """Cost of each section at the cfg's own input size.

    >>> from yolo_slim.zoo import build
    >>> sum(cost.parameters for cost in measure(build("yolov3-tiny")))
    8852366
    """
    shapes = infer_shapes(cfg)
    costs = []
    for index, (section, tensors) in enumerate(zip(cfg, tensor_shapes(cfg), strict=True)):
        read = input_shape(cfg, shapes, index)
        counts = {name: prod(shape) for name, shape in tensors.items()}
        floats = sum(counts.values())
        statistics = sum(counts.get(name, 0) for name in RUNNING_STATISTICS)
        macs = _macs(section, read, shapes[index])
        maps = [shapes[link] if link >= 0 else read for link in cfg.links(index)]
        moved = 0 if _is_free(section) else sum(m.values for m in (*maps, shapes[index]))
        costs.append(
            SectionCost(
                index, section, read.channels, shapes[index], floats - statistics, floats, macs,
                4 * (moved + floats) if moved else 0,
            )
        )  # fmt: skip
    return tuple(costs)


def totals(cfg: Cfg) -> Totals:
    """Sums of `measure` over the whole network."""
    costs = measure(cfg)
    return Totals(
        sum(c.parameters for c in costs),
        sum(c.weights_file_floats for c in costs),
        sum(c.macs for c in costs),
        sum(c.traffic_bytes for c in costs),
    )


def _is_free(section: Section) -> bool:
    """Whether nothing is moved: a name for a map that is there, or a part of one."""
    return isinstance(section, Dropout | Cost | Head) or (
        isinstance(section, Route) and len(section.sources) == 1 and section.groups == 1
    )


def _macs(section: Section, read: Shape, written: Shape) -> int:
    match section:
        case Conv():
            return written.values * (read.channels // section.groups) * section.size**2
        case Local():
            return written.values * read.channels * section.size**2
        case Connected():
            return written.values * read.values
    return 0
