"""The ONNX graph of a cfg: another rendering of the document, node names by section."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from yolo_slim import __version__

OPSET = 20
IR_VERSION = 10


class Graph:
    """Collects nodes and constants; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        if name not in self.constants:
            # Not ascontiguousarray, which makes a vector of a scalar: scales must be scalars.
            self.constants[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def floats(self, name: str, values: Any) -> str:
        return self.constant(name, np.asarray(values, np.float32))

    def ints(self, name: str, values: Any) -> str:
        return self.constant(name, np.asarray(values, np.int64))

    def quantized(self, tensor: str, name: str, scale: float, zero_point: int, dtype: type) -> str:
        """The tensor, rounded to the grid and back: QuantizeLinear, DequantizeLinear."""
        step = self.floats(f"{name}.scale", scale)
        zero = self.constant(f"{name}.zero_point", np.asarray(zero_point, dtype))
        steps = self.node("QuantizeLinear", [tensor, step, zero], f"{name}.q")
        return self.node("DequantizeLinear", [steps, step, zero], f"{name}.dq")

    def dequantized(self, name: str, steps: NDArray[Any], scales: NDArray[np.float64]) -> str:
        """A constant that is stored as integers, one scale per entry of axis 0."""
        stored = self.constant(f"{name}.steps", steps)
        step = self.floats(f"{name}.scale", scales)
        zero = self.constant(f"{name}.zero_point", np.zeros(len(scales), steps.dtype))
        return self.node("DequantizeLinear", [stored, step, zero], f"{name}.dq", axis=0)

    def reshaped(self, tensor: str, name: str, shape: list[int]) -> str:
        """0 keeps a side, -1 takes what is left, as in ONNX."""
        return self.node("Reshape", [tensor, self.ints(f"{name}.shape", shape)], name)

    def sliced(
        self, tensor: str, name: str, starts: list[int], stops: list[int], axes: list[int],
        steps: list[int] | None = None,
    ) -> str:  # fmt: skip
        bounds = [
            self.ints(f"{name}.start", starts),
            self.ints(f"{name}.stop", stops),
            self.ints("axes_" + "_".join(map(str, axes)), axes),
        ]
        if steps:
            bounds.append(self.ints(f"{name}.step", steps))
        return self.node("Slice", [tensor, *bounds], name)

    def largest(self, tensor: str, name: str, k: int) -> tuple[str, str]:
        """The k largest values of the last axis, best first, and their places in it."""
        outputs = [f"{name}.values", f"{name}.places"]
        inputs = [tensor, self.ints(f"{name}.k", [k])]
        self.nodes.append(helper.make_node("TopK", inputs, outputs, name=name))
        return outputs[0], outputs[1]

    def model(
        self,
        image: tuple[str, list[int | str]],
        outputs: list[tuple[str, list[int | str]]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The finished, checked model. Constants that no node reads are left out."""
        read = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "yolo_slim",
            [helper.make_tensor_value_info(image[0], TensorProto.FLOAT, image[1])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs],
            [constant for name, constant in self.constants.items() if name in read],
        )
        model = helper.make_model(
            graph,
            producer_name="yolo_slim",
            producer_version=__version__,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
