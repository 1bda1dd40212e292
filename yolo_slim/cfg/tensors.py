"""The tensors that each section owns: names and shapes, in the order of Darknet's files."""

from __future__ import annotations

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.sections import Batchnorm, Connected, Conv, Local, Section, Shortcut
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape

TensorShapes = dict[str, tuple[int, ...]]

RUNNING_STATISTICS = ("bn.running_mean", "bn.running_var")


def tensor_shapes(cfg: Cfg) -> tuple[TensorShapes, ...]:
    """For each section name -> shape; empty for a section that has nothing to learn.

    The key in a bundle is '{index}.{name}'. A convolution with a share_index owns nothing.

    >>> from yolo_slim.zoo import build
    >>> tensor_shapes(build("yolov3-tiny"))[0]["conv.weight"]
    (16, 3, 3, 3)
    """
    shapes = infer_shapes(cfg)
    return tuple(
        _of(section, input_shape(cfg, shapes, index), shapes[index])
        for index, section in enumerate(cfg)
    )


def _of(section: Section, read: Shape, written: Shape) -> TensorShapes:
    match section:
        case Conv(share_index=None):
            kernel = (section.filters, read.channels // section.groups, section.size, section.size)
            return {**_affine(section, section.filters, "conv"), "conv.weight": kernel}
        case Connected():
            # Darknet puts the kernel between beta and gamma here, unlike in a convolution.
            affine = _affine(section, section.output, "connected")
            beta = next(iter(affine))
            matrix = (section.output, read.values)
            return {beta: affine.pop(beta), "connected.weight": matrix, **affine}
        case Local():
            places = written.height * written.width
            return {
                "bias": tuple(written),
                "weight": (places, section.filters, read.channels, section.size, section.size),
            }
        case Batchnorm():
            return _batchnorm(read.channels)
        case Shortcut(weights_type="per_feature"):
            return {"weight": (1 + len(section.sources),)}
        case Shortcut(weights_type="per_channel"):
            return {"weight": (1 + len(section.sources), read.channels)}
    return {}


def _affine(section: Conv | Connected, count: int, name: str) -> TensorShapes:
    return _batchnorm(count) if section.batch_normalize else {f"{name}.bias": (count,)}


def _batchnorm(count: int) -> TensorShapes:
    names = ("bn.bias", "bn.weight", *RUNNING_STATISTICS)
    return dict.fromkeys(names, (count,))
