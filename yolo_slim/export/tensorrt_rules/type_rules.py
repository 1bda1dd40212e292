"""Rules on float types: strongly typed networks mix none."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import WEIGHTED
from yolo_slim.export.tensorrt_rules.number_rules import FLOATS, HALF_OPSET, half_scales, type_name
from yolo_slim.export.tensorrt_rules.quantizer import Quantizer
from yolo_slim.export.tensorrt_rules.view import GraphView


def type_rules(view: GraphView) -> Iterator[Finding]:
    """A Q whose scale is of another type than its data; a layer that reads two float types."""
    if view.opset < HALF_OPSET and half_scales(view):
        return  # ONNX knows no types of such a graph
    made = {q.output: _made_type(view, q) for q in view.quantizers.values() if not q.is_q}
    for quantizer in view.quantizers.values():
        if quantizer.is_q:
            data = made.get(quantizer.data) or view.types.get(quantizer.data, 0)
            scale = view.types.get(quantizer.node.input(1), 0)
            if data and scale and data != scale:
                yield found(
                    "scale-type", quantizer.node.where,
                    f"a {type_name(scale)} scale for {type_name(data)} data; expected one type",
                )  # fmt: skip
    for node in view.nodes:
        if node.op not in WEIGHTED:
            continue
        types = {name: made.get(name) or view.types.get(name, 0) for name in node.inputs if name}
        floats = {name: kind for name, kind in types.items() if kind in FLOATS}
        if len(set(floats.values())) > 1:
            told = ", ".join(f"{name} is {type_name(kind)}" for name, kind in floats.items())
            yield found("scale-type", node.where, f"{told}; expected one type")


def _made_type(view: GraphView, quantizer: Quantizer) -> int:
    """The type that a DQ gives: its scale's, if no attribute says otherwise."""
    stated = quantizer.node.integer("output_dtype", 0)
    return stated or view.types.get(quantizer.node.input(1), 0)
