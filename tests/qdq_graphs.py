"""Small Q/DQ graphs, right and wrong, written node by node: no exporter has a hand in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

CHANNELS = 16


class Drawn:
    """A graph in the making. Every method returns the name of the tensor that it adds.

    real: the type of scales, biases and float weights; data comes in by the name `x`.
    """

    def __init__(self, real: Any = np.float32) -> None:
        self.real = real
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[str, onnx.TensorProto] = {}

    def node(self, op: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        name = name or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def store(self, name: str, values: Any, dtype: Any = None) -> str:
        array = np.asarray(values, dtype or self.real)
        self.stored[name] = numpy_helper.from_array(array, name)
        return name

    def q(self, x: str, name: str, scale: Any = 0.05, zero: int = 0, dtype: Any = np.int8, **more):
        return self._quantizer("Quantize", f"{name}.q", x, name, scale, zero, dtype, more)

    def dq(self, x: str, name: str, scale: Any = 0.05, zero: int = 0, dtype: Any = np.int8, **more):
        return self._quantizer("Dequantize", f"{name}.dq", x, name, scale, zero, dtype, more)

    def qdq(self, x: str, name: str, scale: Any = 0.05, zero: int = 0, dtype: Any = np.int8, **m):
        return self.dq(self.q(x, name, scale, zero, dtype, **m), name, scale, zero, dtype, **m)

    def _quantizer(self, kind, output, x, name, scale, zero, dtype, attributes) -> str:
        step = self.store(f"{name}.scale", scale)
        zeros = self.store(f"{name}.zero", np.full(np.shape(scale), zero), dtype)
        return self.node(f"{kind}Linear", [x, step, zeros], output, **attributes)

    def steps(self, name: str, shape: Sequence[int], dtype: Any = np.int8) -> str:
        """A kernel that is stored as integers."""
        draw = np.random.default_rng(0)
        return self.store(name, draw.integers(1, 100, shape), dtype)

    def weight(self, name: str, shape: Sequence[int], axis: int = 0, **more: Any) -> str:
        """INT8 numbers and their DQ, a scale for each entry of the axis."""
        scales = np.linspace(0.001, 0.002, shape[axis])
        return self.dq(self.steps(f"{name}.steps", shape), name, scales, axis=axis, **more)

    def float_weight(self, name: str, shape: Sequence[int]) -> str:
        return self.store(name, np.random.default_rng(0).normal(size=shape) * 0.1)

    def conv(
        self, x: str, name: str = "conv", made: int = CHANNELS, read: int = CHANNELS, size: int = 3,
        weight: str | None = None, **attributes: Any,
    ) -> str:  # fmt: skip
        """An INT8 convolution, if x is a DQ's and no other weight is given."""
        shape = (made, read // attributes.get("group", 1), size, size)
        weight = weight or self.weight(f"{name}.w", shape)
        inputs = [x, weight, self.store(f"{name}.b", np.zeros(made))]
        return self.node("Conv", inputs, name, pads=[size // 2] * 4, **attributes)

    def float_conv(self, x: str, name: str = "head", read: int = CHANNELS, made: int = 6) -> str:
        """What keeps the layer before it from being the last: a head in float."""
        weight = self.float_weight(f"{name}.w", (made, read, 1, 1))
        return self.conv(x, name, made, read, 1, weight)

    def model(
        self, *outputs: str, shape: Sequence[int | str] = (1, CHANNELS, 8, 8), opset: int = 20,
        takes: Any = None, gives: Any = None, domains: Sequence[str] = (),
    ) -> onnx.ModelProto:  # fmt: skip
        """takes, gives: types of the input and the outputs."""
        taken, given = (
            helper.np_dtype_to_tensor_dtype(np.dtype(t or self.real)) for t in (takes, gives)
        )
        graph = helper.make_graph(
            self.nodes, "drawn",
            [helper.make_tensor_value_info("x", taken, shape)],
            [helper.make_tensor_value_info(name, given, None) for name in outputs],
            list(self.stored.values()),
        )  # fmt: skip
        versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=versions, ir_version=10)
