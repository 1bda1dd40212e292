"""Activations as ONNX nodes, under Darknet's names."""

from __future__ import annotations

from yolo_slim.export.graph import Graph
from yolo_slim.nn.activations import SELU_ALPHA, SELU_SCALE


def add_activation(graph: Graph, kind: str, x: str, name: str) -> str:
    """The activation `kind` of tensor `x`; `x` itself for linear."""

    def node(op: str, inputs: list[str], part: str = "", **attributes: float | str) -> str:
        return graph.node(op, inputs, name + part, **attributes)

    def number(value: float) -> str:
        return graph.floats(f"number.{value}", value)

    def scaled(tensor: str, factor: float, offset: float, part: str) -> str:
        tensor = node("Mul", [tensor, number(factor)], f"{part}.mul")
        return node("Add", [tensor, number(offset)], f"{part}.add")

    def where(left: str, op: str, right: float, then: str, otherwise: str, part: str = "") -> str:
        test = node(op, [left, number(right)], f"{part}.test")
        return node("Where", [test, then, otherwise], part)

    match kind:
        case "linear":
            return x
        case "leaky" | "relie":
            return node("LeakyRelu", [x], alpha=0.1 if kind == "leaky" else 0.01)
        case "relu":
            return node("Relu", [x])
        case "relu6":
            return node("Clip", [x, number(0.0), number(6.0)])
        case "hardtan":
            return node("Clip", [x, number(-1.0), number(1.0)])
        case "logistic":
            return node("Sigmoid", [x])
        case "tanh":
            return node("Tanh", [x])
        case "mish":
            gate = node("Tanh", [node("Softplus", [x], ".sp")], ".th")
            return node("Mul", [x, gate])
        case "swish":
            return node("Mul", [x, node("Sigmoid", [x], ".gate")])
        case "hswish":
            return node("HardSwish", [x])
        case "hsigmoid":
            return node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
        case "elu":
            return node("Elu", [x], alpha=1.0)
        case "selu":
            return node("Selu", [x], alpha=SELU_ALPHA, gamma=SELU_SCALE)
        case "gelu":
            return node("Gelu", [x], approximate="tanh")
        case "loggy":
            return scaled(node("Sigmoid", [x], ".sigmoid"), 2.0, -1.0, "")
        case "ramp":
            slope = node("Mul", [x, number(0.1)], ".slope")
            return node("Add", [node("Relu", [x], ".relu"), slope])
        case "hard_mish":
            half = node("Mul", [node("Mul", [x, x], ".square"), number(0.5)], ".half")
            curve = node("Add", [half, x], ".curve")
            left = where(x, "Greater", -2.0, curve, number(0.0), ".left")
            return where(x, "Greater", 0.0, x, left)
        case "plse":
            middle = scaled(x, 0.125, 0.5, ".middle")
            right = where(x, "Greater", 4.0, scaled(x, 0.01, 0.96, ".right"), middle, ".most")
            return where(x, "Less", -4.0, scaled(x, 0.01, 0.04, ".left"), right)
        case "lhtan":
            right = where(x, "Greater", 1.0, scaled(x, 0.001, 0.999, ".right"), x, ".most")
            return where(x, "Less", 0.0, node("Mul", [x, number(0.001)], ".left"), right)
        case "stair":
            floor = node("Floor", [x], ".floor")
            step = node("Floor", [node("Mul", [x, number(0.5)], ".half")], ".step")
            even = node("Mod", [floor, number(2.0)], ".odd", fmod=1)
            slope = node("Add", [node("Sub", [x, floor], ".rest"), step], ".slope")
            return where(even, "Equal", 0.0, step, slope)
    raise ValueError(f"no ONNX form for activation {kind!r}")
