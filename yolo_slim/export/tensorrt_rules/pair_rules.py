"""Rules on where Q and DQ stand to each other and to the layers around them."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import WEIGHTED, layers
from yolo_slim.export.tensorrt_rules.network_rules import is_integer_operator
from yolo_slim.export.tensorrt_rules.node import Node
from yolo_slim.export.tensorrt_rules.number_rules import type_name
from yolo_slim.export.tensorrt_rules.quantizer import DQ, Q, Quantizer
from yolo_slim.export.tensorrt_rules.view import GraphView

ACTIVATIONS = frozenset({
    "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Mish",
    "Elu", "Selu", "Celu", "Gelu", "Tanh", "Softplus", "Softsign", "ThresholdedRelu",
})  # fmt: skip


def dead_ends(view: GraphView) -> Iterator[Finding]:
    """A Q that no DQ reads, or whose steps leave the graph."""
    for quantizer in view.quantizers.values():
        if not quantizer.is_q:
            continue
        if quantizer.output in view.outputs:
            told = "its steps leave the graph as they are; expected a DequantizeLinear behind it"
        elif not view.readers(quantizer.output):
            told = "nothing reads its steps; expected a DequantizeLinear behind it"
        else:
            continue
        yield found("q-without-dq", quantizer.node.where, told)


def between(view: GraphView) -> Iterator[Finding]:
    """Whatever reads the steps of a Q, or makes those of a DQ, and is neither."""
    told: dict[Node, str] = {}
    for quantizer in view.quantizers.values():
        where = quantizer.node.where
        if quantizer.is_q:
            for reader in view.readers(quantizer.output):
                if reader.op not in (DQ, "Identity"):
                    told.setdefault(reader, f"{reader.op} reads the steps of {where}")
        else:
            maker = view.maker(quantizer.data)
            if maker is not None and maker.op not in (Q, "Constant", "Identity"):
                told.setdefault(maker, f"{maker.op} makes the steps that {where} reads")
    for node, text in told.items():
        if not is_integer_operator(node):  # has a rule of its own
            yield found("between-q-and-dq", node.where, f"{text}; expected Q and DQ side by side")


def half_quantized(view: GraphView) -> Iterator[Finding]:
    """A layer that reads integers on one side and floats on the other runs in float."""
    for layer in layers(view):
        sides = (layer.data, layer.weight)
        if (layer.data is None) == (layer.weight is None):
            continue
        told = [_side(side) for side in sides]
        names = ("data", "weights") if layer.node.input(1) in view.constants else ("left", "right")
        yield found(
            "half-quantized", layer.node.where,
            f"{names[0]} {told[0]}, {names[1]} {told[1]}; expected INT8 on both, or on neither",
        )  # fmt: skip


def _side(side: Quantizer | None) -> str:
    return "in float" if side is None else f"in {type_name(side.number_type)}"


def before_activation(view: GraphView) -> Iterator[Finding]:
    """Convolution, Q, DQ, activation: the first and the last cannot become one kernel."""
    for quantizer in view.quantizers.values():
        if not quantizer.is_q:
            continue
        layer = _layer_before(view, quantizer.data)
        if layer is None:
            continue
        for dq in view.readers(quantizer.output):
            reader = next((r for r in view.readers(dq.output) if r.op in ACTIVATIONS), None)
            if dq.op == DQ and reader is not None:
                yield found(
                    "rounding-before-activation", quantizer.node.where,
                    f"stands between {layer.where} and its {reader.op}, {reader.where}",
                )  # fmt: skip
                break


def _layer_before(view: GraphView, tensor: str) -> Node | None:
    """The layer that makes a tensor, also through a BatchNormalization."""
    node = view.maker(tensor)
    if node is not None and node.op == "BatchNormalization":
        node = view.maker(node.input(0))
    return node if node is not None and node.op in WEIGHTED else None
