"""Writes a bundle as ONNX: float, or INT8 with Q/DQ placed for one kind of engine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    IMAGE,
    Avgpool,
    Conv,
    Dropout,
    Maxpool,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Upsample,
    Yolo,
    infer_shapes,
    input_shape,
)
from yolo_slim.errors import InputError
from yolo_slim.export.graph import Graph
from yolo_slim.files import whole_file
from yolo_slim.fold import fold_batchnorm
from yolo_slim.metadata import IMAGE_NAME, to_metadata
from yolo_slim.nn.network import reads_int8

Profile = Literal["tensorrt", "cpu"]

_CPU_WEIGHT_LIMIT = 64
"""x86 without VNNI adds two uint8 x int8 products in 16 bits: 2 * 255 * 64 fits, * 127 does not."""


def export_onnx(
    bundle: Bundle, path: Path, int8: Profile | None = None, dynamic_batch: bool = False
) -> onnx.ModelProto:
    """Writes `path` and returns the model. The cfg and the class names travel as metadata.

    Input `images` [B, C, H, W], RGB, 0..1; outputs `head_K`, the raw maps that the [yolo] sections
    read.

    int8: None for float; 'tensorrt' for signed symmetric Q/DQ with float biases; 'cpu' for the
    unsigned activations, int32 biases and 7-bit weights that ONNX Runtime turns into integer
    kernels, right on every CPU.

    Raises InputError where INT8 is asked of a bundle that was never quantized.
    """
    if int8 is not None and bundle.precision is None:
        raise InputError("INT8 export needs ranges, and this bundle has none: run quantize first")
    model = _Exporter(fold_batchnorm(bundle), int8, dynamic_batch).run()
    with whole_file(path) as temporary:
        onnx.save(model, temporary)
    return model


class _Exporter:
    def __init__(self, bundle: Bundle, int8: Profile | None, dynamic_batch: bool) -> None:
        self.bundle, self.cfg, self.int8 = bundle, bundle.cfg, int8
        self.batch: int | str = "batch" if dynamic_batch else 1
        self.precision = bundle.precision if int8 else None
        self.shapes = infer_shapes(self.cfg)
        self.graph = Graph()
        self.tensors: dict[int, str] = {}
        self.rounded: dict[int, str] = {}

    def run(self) -> onnx.ModelProto:
        self.tensors[IMAGE] = self._ranged(IMAGE, self._normalised())
        for index, section in enumerate(self.cfg):
            inputs = [self._read(link, index) for link in self.cfg.links(index)]
            self.tensors[index] = self._ranged(index, self._emit(index, section, inputs))
        heads = []
        for number, index in enumerate(self.cfg.yolo_indices or (len(self.cfg) - 1,)):
            name = self.graph.node("Identity", [self.tensors[index]], f"head_{number}")
            heads.append((name, [self.batch, *self.shapes[index]]))
        net = self.cfg.net
        return self.graph.model(
            (IMAGE_NAME, [self.batch, net.channels, net.height, net.width]),
            heads,
            to_metadata(self.bundle),
        )

    def _normalised(self) -> str:
        x, net = IMAGE_NAME, self.cfg.net
        if net.mean:
            mean = self.graph.floats("mean", np.reshape(net.mean, (1, -1, 1, 1)))
            x = self.graph.node("Sub", [x, mean], "centred")
        if net.std:
            std = self.graph.floats("std", np.reshape(net.std, (1, -1, 1, 1)))
            x = self.graph.node("Div", [x, std], "normalised")
        return x

    def _ranged(self, index: int, tensor: str) -> str:
        """For a CPU every map is rounded where it is made, so that integer kernels meet."""
        ranged = self.precision and (index == IMAGE or index in self.precision.outputs)
        if self.int8 != "cpu" or not self.precision or not ranged:
            return tensor
        if tensor in self.tensors.values():  # a section that computed nothing
            return tensor
        return self.graph.quantized(
            tensor, f"{index}.out", *self.precision.of(index).unsigned_grid, np.uint8
        )

    def _read(self, link: int, reader: int) -> str:
        """For TensorRT a map is rounded where an INT8 section reads it."""
        tensor = self.tensors[link]
        if self.int8 != "tensorrt" or not self.precision:
            return tensor
        if not reads_int8(self.cfg, self.precision, reader):
            return tensor
        if link not in self.rounded:
            scale = self.precision.of(link).symmetric_scale
            name = "image.in" if link == IMAGE else f"{link}.in"
            self.rounded[link] = self.graph.quantized(tensor, name, scale, 0, np.int8)
        return self.rounded[link]

    def _emit(self, index: int, section: Section, inputs: list[str]) -> str:
        graph, name = self.graph, str(index)
        match section:
            case Conv():
                return self._conv(index, section, inputs[0])
            case Shortcut():
                x, links = inputs[0], self.cfg.links(index)
                for number, (link, other) in enumerate(zip(links[1:], inputs[1:], strict=True)):
                    x = self._add(f"{name}.add{number}", x, index - 1, other, link)
                return graph.activation(section.activation, x, f"{name}.{section.activation}")
            case Route():
                parts = [
                    self._part(f"{name}.part{number}", tensor, link, section)
                    for number, (link, tensor) in enumerate(
                        zip(section.sources, inputs, strict=True)
                    )
                ]
                return (
                    parts[0]
                    if len(parts) == 1
                    else graph.node("Concat", parts, f"{name}.concat", axis=1)
                )
            case Maxpool():
                return self._maxpool(index, section, inputs[0])
            case Upsample():
                scales = graph.floats(f"{name}.scales", [1, 1, section.stride, section.stride])
                return graph.node(
                    "Resize", [inputs[0], "", scales], f"{name}.upsample", mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor",
                )  # fmt: skip
            case Avgpool():
                return graph.node("GlobalAveragePool", inputs, f"{name}.avgpool")
            case ScaleChannels():
                x = graph.node("Mul", [inputs[1], inputs[0]], f"{name}.scale")
                return graph.activation(section.activation, x, f"{name}.{section.activation}")
            case Dropout() | Yolo():
                return inputs[0]
        raise TypeError(f"no ONNX form for [{section.kind}]")

    def _conv(self, index: int, section: Conv, x: str) -> str:
        graph, name = self.graph, f"{index}.conv"
        kernel = self.bundle.weights[f"{name}.weight"].double().numpy()
        bias = self.bundle.weights[f"{name}.bias"].double().numpy()
        conv = self.precision.convs.get(index) if self.precision else None
        if self.precision and conv:
            limit = _CPU_WEIGHT_LIMIT if self.int8 == "cpu" else 127
            scales = np.asarray(conv.weight_scales) * (127 / limit)
            weight = graph.dequantized(f"{name}.weight", _steps(kernel, scales, limit), scales)
        else:
            weight = graph.floats(f"{name}.weight", kernel)
        if self.precision and conv and self.int8 == "cpu":
            read_scale, _ = self.precision.of(self.cfg.links(index)[0]).unsigned_grid
            bias_scales = scales * read_scale
            steps = np.rint(bias / bias_scales).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32)
            offset = graph.dequantized(f"{name}.bias", steps, bias_scales)
        else:
            offset = graph.floats(f"{name}.bias", bias)
        pad = section.padding_px * section.dilation
        x = graph.node(
            "Conv", [x, weight, offset], name, group=section.groups,
            kernel_shape=[section.size] * 2, strides=[section.stride] * 2,
            dilations=[section.dilation] * 2, pads=[pad] * 4,
        )  # fmt: skip
        return self._conv_activation(index, section, x, int8_cpu=bool(conv) and self.int8 == "cpu")

    def _conv_activation(self, index: int, section: Conv, x: str, int8_cpu: bool) -> str:
        graph, kind = self.graph, section.activation
        name = f"{index}.{kind}"
        # ReLU is merged into the convolution's rounding; everything else is a kernel of its own.
        if not int8_cpu or kind in ("linear", "relu"):
            return graph.activation(kind, x, name)
        assert self.precision is not None
        grid = self.precision.convs[index].convolved.unsigned_grid
        x = graph.quantized(x, f"{index}.convolved", *grid, np.uint8)
        if kind == "swish":
            gate = graph.node("Sigmoid", [x], f"{name}.gate")
            gate = graph.quantized(gate, f"{name}.gate", 1 / 255, 0, np.uint8)
            return graph.node("Mul", [x, gate], name)
        return graph.activation(kind, x, name)

    def _add(self, name: str, x: str, x_link: int, other: str, other_link: int) -> str:
        graph = self.graph
        widths = [self.shapes[link].channels for link in (x_link, other_link)]
        shared = min(widths)
        if widths[0] == widths[1]:
            return graph.node("Add", [x, other], name)
        other = self._channels(f"{name}.other", other, 0, shared)
        if widths[0] == shared:
            return graph.node("Add", [x, other], name)
        added = graph.node("Add", [self._channels(f"{name}.first", x, 0, shared), other], name)
        rest = self._channels(f"{name}.rest", x, shared, widths[0])
        return graph.node("Concat", [added, rest], f"{name}.concat", axis=1)

    def _part(self, name: str, x: str, link: int, section: Route) -> str:
        if section.groups == 1:
            return x
        width = self.shapes[link].channels // section.groups
        return self._channels(name, x, section.group_id * width, (section.group_id + 1) * width)

    def _channels(self, name: str, x: str, start: int, stop: int) -> str:
        bounds = [
            self.graph.ints(f"{name}.start", [start]),
            self.graph.ints(f"{name}.stop", [stop]),
            self.graph.ints("axis_of_channels", [1]),
        ]
        return self.graph.node("Slice", [x, *bounds], name)

    def _maxpool(self, index: int, section: Maxpool, x: str) -> str:
        source, output = input_shape(self.cfg, self.shapes, index), self.shapes[index]
        before = section.padding_px // 2
        after = [
            max(0, (n_out - 1) * section.stride + section.size - side - before)
            for side, n_out in zip(source[1:], output[1:], strict=True)
        ]
        return self.graph.node(
            "MaxPool", [x], f"{index}.maxpool", kernel_shape=[section.size] * 2,
            strides=[section.stride] * 2, pads=[before, before, *after],
        )  # fmt: skip


def _steps(
    values: NDArray[np.float64], scales: NDArray[np.float64], limit: int
) -> NDArray[np.int8]:
    shape = (-1,) + (1,) * (values.ndim - 1)
    return np.rint(values / scales.reshape(shape)).clip(-limit, limit).astype(np.int8)
