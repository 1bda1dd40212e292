"""Rules on the model as a whole: its opset, its operators, its inputs."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import CONVOLUTIONS, layers
from yolo_slim.export.tensorrt_rules.node import Node, text
from yolo_slim.export.tensorrt_rules.number_rules import FLOATS, HALF_OPSET, half_scales, type_name
from yolo_slim.export.tensorrt_rules.view import GraphView

PARSED_OPSETS = range(9, 26)
"""Those that TensorRT 11 states."""
CHANNEL_OPSET = 13
"""The first with scales per channel."""

_INTEGER = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})


def valid(view: GraphView) -> Iterator[Finding]:
    """What ONNX itself says of the file."""
    if view.opset > onnx.defs.onnx_opset_version() or any(_is_unknown(view, n) for n in view.nodes):
        return  # the checker knows no more of it than that
    try:
        onnx.checker.check_model(_with_shapes(view.model))
    except Exception as error:  # ValidationError, and protobuf's own for what cannot be serialized
        lines = [line for line in str(error).splitlines() if line.strip()]
        told = lines[0].strip()[:200] if lines else type(error).__name__
        yield found("invalid-onnx", "", f"{told.rstrip('.')}; expected a model that ONNX allows")


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The checker wants a shape on every output, TensorRT does not."""
    if all(output.type.tensor_type.HasField("shape") for output in model.graph.output):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for output in changed.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.shape.SetInParent()
    return changed


def opset(view: GraphView) -> Iterator[Finding]:
    """The version of the operators."""
    halves, last = half_scales(view), PARSED_OPSETS[-1]
    first = CHANNEL_OPSET if view.quantizers else PARSED_OPSETS[0]
    if not first <= view.opset <= last:
        yield found("opset", "", f"opset {view.opset}; expected {HALF_OPSET} to {last}")
    elif view.opset < HALF_OPSET and halves:
        name = type_name(min(halves))
        yield found(
            "opset", "", f"{name} scales at opset {view.opset}; ONNX has them from {HALF_OPSET} on"
        )
    elif view.opset < HALF_OPSET and view.quantizers:
        yield found(
            "opset-before-19", "", f"opset {view.opset}: scales are float32, so is what they scale"
        )


def operators(view: GraphView) -> Iterator[Finding]:
    """Operators of other makers, and those that compute on integers."""
    for node in view.nodes:
        name = f"{node.domain}.{node.op}" if node.domain else node.op
        if is_integer_operator(node):
            yield found("integer-operator", node.where, f"{name}; expected Q/DQ around a float one")
        elif node.domain:
            yield found("foreign-operator", node.where, f"{name}; expected one of ONNX's own")
        elif _is_unknown(view, node):
            yield found("foreign-operator", node.where, f"{name} is none of ONNX's operators")


def is_integer_operator(node: Node) -> bool:
    return node.op in _INTEGER or node.op.startswith(("QLinear", "DynamicQuantize"))


def _is_unknown(view: GraphView, node: Node) -> bool:
    # An operator of an opset that is newer than the package would be unknown to it alone.
    known = view.opset <= onnx.defs.onnx_opset_version()
    return known and not node.domain and not onnx.defs.has(node.op)


def inputs(view: GraphView) -> Iterator[Finding]:
    """Sides that are only known when it runs."""
    for info in view.model.graph.input:
        name = text(info.name)
        shape = view.shapes.get(name)
        if name in view.constants:
            continue  # older files list their weights among the inputs
        if shape is None:
            yield found("dynamic-shape", "", f"input {name} states no shape")
        elif any(side is None for side in shape):
            told = "x".join("?" if side is None else str(side) for side in shape)
            yield found("dynamic-shape", "", f"input {name} is {told}")


def precision(view: GraphView) -> Iterator[Finding]:
    """Whether there is INT8 at all, and what the rest runs in."""
    if not view.quantizers:
        yield found("no-int8", "", "no QuantizeLinear in it: the engine has no INT8")
        return
    int8 = [layer for layer in layers(view) if layer.is_int8 and layer.node.op in CONVOLUTIONS]
    types = {view.types.get(layer.data.node.input(1), 0) for layer in int8 if layer.data}
    if types & set(FLOATS) == {TensorProto.FLOAT}:
        yield found("float32-rest", "", "all that is not INT8 is float32")
