"""The layers that have INT8 kernels of their own, and how each of their inputs comes in."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_slim.export.tensorrt_rules.node import Node
from yolo_slim.export.tensorrt_rules.quantizer import DQ, Quantizer
from yolo_slim.export.tensorrt_rules.view import GraphView

CONVOLUTIONS = ("Conv", "ConvTranspose")
WEIGHTED = (*CONVOLUTIONS, "Gemm", "MatMul")

_JOINING = ("Concat",)
MOVING = (
    *_JOINING, "MaxPool", "Resize", "Upsample", "Identity", "Dropout", "Reshape", "Flatten",
    "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Expand", "Tile", "SpaceToDepth",
    "DepthToSpace",
)  # fmt: skip
"""What moves values and computes none (but for Resize's averages): TensorRT takes a DQ through."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with weights. data, weight: the DQ that each comes from; None where it is float."""

    node: Node
    data: Quantizer | None
    weight: Quantizer | None

    @property
    def is_int8(self) -> bool:
        return bool(self.data and self.weight and self.data.is_int8 and self.weight.is_int8)


def moved(node: Node) -> tuple[str, ...]:
    """The inputs whose values the node moves; none if it computes."""
    if node.op not in MOVING:
        return ()
    return node.inputs if node.op in _JOINING else node.inputs[:1]


def rounded_tensors(view: GraphView) -> dict[str, Quantizer]:
    """Every tensor whose values come out of DQs and are moved at most, with (the first of) them."""
    rounded: dict[str, Quantizer] = {}
    for node in view.nodes:
        source = view.quantizers.get(node.output) if node.op == DQ else None
        if source is None:
            inputs = moved(node)
            if not inputs or not all(name in rounded for name in inputs):
                continue
            source = rounded[inputs[0]]
        rounded |= {name: source for name in node.outputs if name}
    return rounded


def layers(view: GraphView) -> list[Layer]:
    """Every layer with weights, in the order of the file."""
    rounded = rounded_tensors(view)
    return [
        Layer(node, rounded.get(node.input(0)), rounded.get(node.input(1)))
        for node in view.nodes
        if node.op in WEIGHTED and len(node.inputs) >= 2
    ]
