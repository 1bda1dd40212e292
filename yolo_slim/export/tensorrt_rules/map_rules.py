"""Rules on feature maps: heads, residual additions, boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.layers import WEIGHTED, layers, rounded_tensors
from yolo_slim.export.tensorrt_rules.node import Node
from yolo_slim.export.tensorrt_rules.view import GraphView

MOST_BOXES = 5000
MOST_TOPK = 3839


def quantized_heads(view: GraphView) -> Iterator[Finding]:
    """An INT8 layer that no layer with weights follows on the way to an output."""
    weighted = layers(view)
    decoding = {layer.node for layer in weighted if _sums_a_softmax(view, layer.node)}
    read = [layer.node.input(0) for layer in weighted if layer.node not in decoding]
    read += [layer.node.input(1) for layer in weighted if layer.node not in decoding]
    goes_on, goes_out = _upstream(view, read), _upstream(view, view.outputs)
    for layer in weighted:
        made = layer.node.output
        if layer.is_int8 and made in goes_out and made not in goes_on:
            yield found(
                "quantized-head", layer.node.where,
                "INT8, and the last layer before an output; expected float",
            )  # fmt: skip


def _sums_a_softmax(view: GraphView, node: Node) -> bool:
    """The mean over a distribution (DFL), which some decoders write as a convolution."""
    maker, seen = view.maker(node.input(0)), set()
    while maker is not None and maker.op in ("Transpose", "Reshape") and maker not in seen:
        seen.add(maker)
        maker = view.maker(maker.input(0))
    return maker is not None and maker.op == "Softmax"


def _upstream(view: GraphView, tensors: Iterable[str]) -> set[str]:
    """The tensors, and all that have a part in them."""
    waiting, seen = list(tensors), set(tensors)
    while waiting:
        maker = view.maker(waiting.pop())
        for name in (*maker.inputs, *maker.bodies) if maker is not None else ():
            if name and name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def rounded_outputs(view: GraphView) -> Iterator[Finding]:
    """An output of the model that a DQ makes."""
    rounded = rounded_tensors(view)
    for name in view.outputs:
        if name in rounded:
            where = rounded[name].node.where
            yield found("rounded-output", where, f"output {name} has 256 values at most")


def residual_adds(view: GraphView) -> Iterator[Finding]:
    """An addition of two maps of which one is rounded: it runs in float, and rounds in vain."""
    rounded = rounded_tensors(view)
    for node in view.nodes:
        if node.op != "Add" or len(node.inputs) != 2 or not view.constants.isdisjoint(node.inputs):
            continue
        sides = [name in rounded for name in node.inputs]
        if sides[0] == sides[1]:
            continue
        a, b = (view.shapes.get(name) for name in node.inputs)
        if a is not None and b is not None and a != b:
            continue  # a gate, or a bias that is computed
        plain = node.inputs[sides.index(False)]
        maker = view.maker(plain)
        if maker is not None and maker.op == "BatchNormalization":
            maker = view.maker(maker.input(0))
        if maker is None or maker.op not in WEIGHTED:  # a convolution takes the addition in
            yield found("residual-add", node.where, f"{plain} is float, the other input INT8")


def boxes(view: GraphView) -> Iterator[Finding]:
    """Limits of INMSLayer and ITopKLayer."""
    for node in view.nodes:
        if node.op == "NonMaxSuppression":
            shape = view.shapes.get(node.input(0))
            count = shape[1] if shape is not None and len(shape) == 3 else None
            if count is not None and count > MOST_BOXES:
                yield found(
                    "nms-boxes", node.where,
                    f"{count} boxes; TensorRT looks at {MOST_BOXES}, so results may differ",
                )  # fmt: skip
        elif node.op == "TopK":
            values = view.values(node.input(1))
            count = int(values.reshape(-1)[0]) if values is not None and values.size else 0
            if count > MOST_TOPK:
                yield found("topk-limit", node.where, f"k = {count}; expected {MOST_TOPK} at most")
