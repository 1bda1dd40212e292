"""Writes a bundle as ONNX: float, or INT8 with Q/DQ placed for one kind of engine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import IMAGE, Cfg, Conv, infer_shapes, readers_of
from yolo_slim.errors import InputError
from yolo_slim.export.activations import add_activation
from yolo_slim.export.boxes import require_boxes
from yolo_slim.export.graph import Graph
from yolo_slim.export.half import to_half
from yolo_slim.export.outputs import add_outputs
from yolo_slim.export.sections import SectionWriter
from yolo_slim.files import whole_file
from yolo_slim.fold import fold_batchnorm
from yolo_slim.metadata import IMAGE_NAME, Answer, to_metadata
from yolo_slim.nn.network import reads_int8
from yolo_slim.nn.suppress import Suppression
from yolo_slim.precision import Precision, Range

Profile = Literal["tensorrt", "cpu", "cpu-vnni"]

_WEIGHT_LIMITS: dict[Profile, int] = {"tensorrt": 127, "cpu": 64, "cpu-vnni": 127}
"""x86 without VNNI adds two uint8 x int8 products in 16 bits: 2 * 255 * 64 fits, * 127 does not."""


def export_onnx(
    bundle: Bundle,
    path: Path,
    int8: Profile | None = None,
    dynamic_batch: bool = False,
    answer: Answer = "raw",
    suppression: Suppression | None = None,
    half: bool = False,
) -> onnx.ModelProto:
    """Writes `path` and returns the model. The cfg and the class names travel as metadata.

    Input `images` [B, C, H, W], RGB, 0..1; outputs float32:

    answer 'raw': `head_K`, the raw maps that the heads read. 'boxes': `boxes` [B, N, 4], xyxy in
    pixels of the input, and `scores` [B, N, C]; see `export.boxes`. 'detections': `detections`
    [M, 7], what `suppression` (its defaults if None) leaves of them; see `export.suppression`.

    int8: None for float; 'tensorrt' for signed symmetric Q/DQ with float biases; 'cpu' for the
    unsigned activations, int32 biases and 7-bit weights that ONNX Runtime turns into integer
    kernels, right on every CPU; 'cpu-vnni' for the same with 8-bit weights.

    half: what is not INT8 up to the heads in FP16; see `export.half`.

    Raises InputError where INT8 is asked of a bundle that was never quantized, boxes of a network
    that has none, FP16 where numbers do not fit, or beside 'cpu'.
    """
    if int8 is not None and bundle.precision is None:
        raise InputError("INT8 export needs ranges, and this bundle has none: run quantize first")
    if int8 is not None and bundle.precision is not None and not bundle.precision.convs:
        raise InputError(
            "INT8 export: the bundle's plan leaves every convolution in float; export it in float, "
            "or quantize it with fewer --keep-float"
        )
    if answer != "raw":
        require_boxes(bundle.cfg)
    if answer == "detections":
        suppression = suppression or Suppression()
    model = _Exporter(fold_batchnorm(bundle), int8, dynamic_batch).run(answer, suppression)
    if half:
        model = to_half(model)
    with whole_file(path) as temporary:
        onnx.save(model, temporary)
    return model


def cpu_profile(bundle: Bundle) -> Profile | None:
    """How a bundle runs on a CPU: in INT8 where its plan has anything in INT8."""
    return "cpu" if bundle.precision is not None and bundle.precision.convs else None


class _Exporter:
    def __init__(self, bundle: Bundle, int8: Profile | None, dynamic_batch: bool) -> None:
        self.bundle, self.cfg, self.int8 = bundle, bundle.cfg, int8
        self.batch: int | str = "batch" if dynamic_batch else 1
        self.for_cpu = int8 in ("cpu", "cpu-vnni")
        self.precision = bundle.precision if int8 else None
        self.shapes = infer_shapes(self.cfg)
        self.exact = _read_exactly(self.cfg, self.precision)
        self.graph = Graph()
        self.sections = SectionWriter(self.graph, bundle)
        self.tensors: dict[int, str] = {}
        self.rounded: dict[int, str] = {}

    def run(
        self, answer: Answer = "raw", suppression: Suppression | None = None
    ) -> onnx.ModelProto:
        self.tensors[IMAGE] = self._ranged(IMAGE, self._normalised())
        for index, section in enumerate(self.cfg):
            inputs = [self._read(link, index) for link in self.cfg.links(index)]
            if isinstance(section, Conv):
                tensor = self._conv(index, section, inputs[0])
            else:
                tensor = self.sections.add(index, section, inputs)
            self.tensors[index] = self._ranged(index, tensor)
        given = self.cfg.output_indices
        outputs = add_outputs(
            self.graph, self.cfg, [self.tensors[i] for i in given], [self.shapes[i] for i in given],
            self.batch, answer, suppression,
        )  # fmt: skip
        net = self.cfg.net
        return self.graph.model(
            (IMAGE_NAME, [self.batch, net.channels, net.height, net.width]),
            outputs,
            to_metadata(self.bundle, answer, suppression, self.int8),
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
        if not self.for_cpu or not self.precision or not ranged or index in self.exact:
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

    def _conv(self, index: int, section: Conv, x: str) -> str:
        graph, name = self.graph, f"{index}.conv"
        owner = self._owner(index)
        kernel = self.bundle.weights[f"{owner}.conv.weight"].double().numpy()
        bias = self.bundle.weights[f"{owner}.conv.bias"].double().numpy()
        if section.xnor:
            size = np.abs(kernel).mean(axis=(1, 2, 3), keepdims=True)
            kernel = np.where(kernel > 0, size, -size)
            positive = graph.node("Greater", [x, graph.floats("zero", 0.0)], f"{name}.positive")
            one, minus_one = graph.floats("one", 1.0), graph.floats("minus_one", -1.0)
            x = graph.node("Where", [positive, one, minus_one], f"{name}.signs")
        conv = self.precision.convs.get(index) if self.precision else None
        if self.precision and conv:
            assert self.int8 is not None
            limit = _WEIGHT_LIMITS[self.int8]
            scales = np.asarray(conv.weight_scales) * (127 / limit)
            weight = graph.dequantized(f"{name}.weight", _steps(kernel, scales, limit), scales)
        else:
            weight = graph.floats(f"{name}.weight", kernel)
        if self.precision and conv and self.for_cpu:
            read_scale, _ = self.precision.of(self.cfg.links(index)[0]).unsigned_grid
            bias_scales = scales * read_scale
            steps = np.rint(bias / bias_scales).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32)
            offset = graph.dequantized(f"{name}.bias", steps, bias_scales)
        else:
            offset = graph.floats(f"{name}.bias", bias)
        pad = section.padding_px * section.dilation
        x = graph.node(
            "Conv", [x, weight, offset], name, group=section.groups,
            kernel_shape=[section.size] * 2, strides=list(section.strides_hw),
            dilations=[section.dilation] * 2, pads=[pad] * 4,
        )  # fmt: skip
        integer = bool(conv) and self.for_cpu and index not in self.exact
        return self._conv_activation(index, section, x, integer)

    def _conv_activation(self, index: int, section: Conv, x: str, integer: bool) -> str:
        graph, kind = self.graph, section.activation
        name = f"{index}.{kind}"
        # ReLU is merged into the convolution's rounding; everything else is a kernel of its own.
        if not integer or kind in ("linear", "relu"):
            return add_activation(graph, kind, x, name)
        assert self.precision is not None
        ranged = index in self.precision.outputs  # a map of 1 x 1 is not
        if kind == "relu6" and ranged and _ends_within(self.precision.of(index), 6.0):
            return x  # the rounding cuts off at 0 and at the end of its range
        grid = self.precision.convs[index].convolved.unsigned_grid
        x = graph.quantized(x, f"{index}.convolved", *grid, np.uint8)
        if kind == "swish":
            gate = graph.node("Sigmoid", [x], f"{name}.gate")
            gate = graph.quantized(gate, f"{name}.gate", 1 / 255, 0, np.uint8)
            return graph.node("Mul", [x, gate], name)
        return add_activation(graph, kind, x, name)

    def _owner(self, index: int) -> int:
        """The section whose tensors a convolution uses: itself, unless it shares another's."""
        section = self.cfg[index]
        assert isinstance(section, Conv)
        return index if section.share_index is None else self._owner(section.share_index)


def _ends_within(found: Range, most: float) -> bool:
    """Whether the unsigned grid of a range goes from 0 to no more than `most`."""
    scale, zero_point = found.unsigned_grid
    return zero_point == 0 and 255 * scale <= most * (1 + 1e-6)


def _read_exactly(cfg: Cfg, precision: Precision | None) -> frozenset[int]:
    """Sections, and the image, that nothing reads but convolutions which are kept in float, or
    which ask for signs alone: a small number must not become 0."""
    kept = set() if precision is None else set(precision.kept)
    kept |= {
        index for index, section in enumerate(cfg) if isinstance(section, Conv) and section.xnor
    }
    return frozenset(link for link, found in readers_of(cfg).items() if found <= kept)


def _steps(
    values: NDArray[np.float64], scales: NDArray[np.float64], limit: int
) -> NDArray[np.int8]:
    """Rounded in float32 by the inverse of the scale, as torch's imitation does: else a value on
    the edge between two steps would fall to another side here."""
    inverse = np.float32(1) / scales.astype(np.float32)
    shape = (-1,) + (1,) * (values.ndim - 1)
    steps = np.rint(values.astype(np.float32) * inverse.reshape(shape))
    return steps.clip(-limit, limit).astype(np.int8)
