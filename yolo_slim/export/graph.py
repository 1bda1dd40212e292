"""The ONNX graph of a cfg: another rendering of the document, node names by section."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

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
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
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

    def activation(self, kind: str, x: str, name: str) -> str:
        """The activation with Darknet's name `kind`; `x` itself for linear."""
        match kind:
            case "linear":
                return x
            case "leaky":
                return self.node("LeakyRelu", [x], name, alpha=0.1)
            case "relu":
                return self.node("Relu", [x], name)
            case "relu6":
                bounds = [self.floats("relu6.low", 0.0), self.floats("relu6.high", 6.0)]
                return self.node("Clip", [x, *bounds], name)
            case "logistic":
                return self.node("Sigmoid", [x], name)
            case "tanh":
                return self.node("Tanh", [x], name)
            case "mish":
                gate = self.node("Tanh", [self.node("Softplus", [x], f"{name}.sp")], f"{name}.th")
                return self.node("Mul", [x, gate], name)
            case "swish":
                gate = self.node("Sigmoid", [x], f"{name}.gate")
                return self.node("Mul", [x, gate], name)
            case "elu":
                return self.node("Elu", [x], name, alpha=1.0)
            case "selu":
                return self.node("Selu", [x], name)
            case "gelu":
                return self.node("Gelu", [x], name, approximate="tanh")
        raise ValueError(f"no ONNX form for activation {kind!r}")

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
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
