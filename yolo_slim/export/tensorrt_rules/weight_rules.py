"""Rules on the weights of each layer."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import CONVOLUTIONS, Layer, layers
from yolo_slim.export.tensorrt_rules.node import Node
from yolo_slim.export.tensorrt_rules.view import GraphView

_MULTIPLE = 8
_NARROW = 16


def weight_axis(view: GraphView) -> Iterator[Finding]:
    """Scales along another axis than the output channels."""
    for layer in layers(view):
        quantizer = layer.weight
        if quantizer is None or not quantizer.has_many_scales:
            continue
        if quantizer.data not in view.constants:
            continue  # two maps multiplied: a per-channel activation
        shape = view.shapes.get(quantizer.data)
        rank = len(shape) if shape is not None else 4
        axis = _carried(view, layer.node.input(1), quantizer.axis(rank), rank)
        expected = _output_axis(layer.node, rank)
        if axis is not None and axis != expected:
            yield found(
                "weight-axis", quantizer.node.where,
                f"scales along axis {axis} of the weights of {layer.node.where} "
                f"({layer.node.op}); expected axis {expected}",
            )  # fmt: skip


def _output_axis(node: Node, rank: int) -> int:
    match node.op:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1
        case "Gemm":
            return 0 if node.integer("transB", 0) else 1
    return rank - 1  # MatMul


def _carried(view: GraphView, tensor: str, axis: int, rank: int) -> int | None:
    """Where an axis of a DQ's output is in `tensor`; None where that cannot be followed."""
    transposed: list[Node] = []
    node = view.maker(tensor)
    while node is not None and node.op in ("Identity", "Transpose") and len(transposed) < 8:
        transposed.append(node)
        node = view.maker(node.input(0))
    if node is None or node.output not in view.quantizers:
        return None
    for step in reversed(transposed):
        if step.op == "Transpose":
            order = step.integers("perm") or tuple(reversed(range(rank)))
            if axis not in order:
                return None
            axis = order.index(axis)
    return axis


def channel_multiple(view: GraphView) -> Iterator[Finding]:
    """Grouped and narrow convolutions that fill no INT8 kernel.

    The limits are those of NVIDIA's Model Optimizer (modelopt.onnx.quantization.graph_utils): a
    convolution with groups wants output channels in multiples of 8 and a kernel of 3; one with
    fewer than 16 channels on a side wants a multiple of 8 on either.
    """
    for layer in layers(view):
        shape = view.shapes.get(layer.weight.data) if layer.weight else None
        if not layer.is_int8 or layer.node.op not in CONVOLUTIONS or shape is None:
            continue
        if len(shape) < 3 or None in shape:
            continue
        told = _unfit(layer, [side or 0 for side in shape])
        if told:
            yield found("channel-multiple", layer.node.where, told)


def _unfit(layer: Layer, shape: list[int]) -> str | None:
    groups = layer.node.integer("group", 1)
    made, read = shape[0], shape[1] * groups
    if layer.node.op == "ConvTranspose":
        made, read = shape[1] * groups, shape[0]
    if groups > 1:
        if made % _MULTIPLE == 0 and min(shape[2:]) >= 3:
            return None
        kernel = "x".join(map(str, shape[2:]))
        return (
            f"{made} channels in {groups} groups, kernel {kernel}; expected a multiple of "
            f"{_MULTIPLE}, and a kernel of 3 or more"
        )
    if min(made, read) < _NARROW and made % _MULTIPLE and read % _MULTIPLE:
        return f"{read} channels in, {made} out; expected a multiple of {_MULTIPLE} on a side"
    return None


def quantized_bias(view: GraphView) -> Iterator[Finding]:
    """A bias behind a DQ of INT8: 256 steps for what is added to a sum of thousands."""
    for layer in layers(view):
        bias = view.quantizers.get(layer.node.input(2))
        if bias is not None and bias.is_int8:
            yield found("quantized-bias", layer.node.where, f"its bias is INT8, {bias.node.where}")


def clip_on_weights(view: GraphView) -> Iterator[Finding]:
    """A Clip that only constants go into: TensorRT has none for integers."""
    for node in view.nodes:
        if node.op != "Clip" or node.input(0) not in view.constants:
            continue
        if any(reader.output in view.quantizers for reader in view.readers(node.output)):
            yield found("clip-on-weights", node.where, f"clips the constant {node.input(0)}")
