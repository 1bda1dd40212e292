"""One QuantizeLinear or DequantizeLinear, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from yolo_slim.export.tensorrt_rules.node import Node

Q, DQ = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A Q or a DQ.

    scale, zero_point: their values; None where they are not stored, or not there.
    number_type: that of the steps, as in TensorProto; 0 where it is unknown.
    """

    node: Node
    scale: NDArray[Any] | None
    zero_point: NDArray[Any] | None
    number_type: int

    @property
    def is_q(self) -> bool:
        return self.node.op == Q

    @property
    def data(self) -> str:
        return self.node.input(0)

    @property
    def output(self) -> str:
        return self.node.output

    @property
    def is_int8(self) -> bool:
        return self.number_type == TensorProto.INT8

    @property
    def step(self) -> float | None:
        """The one scale of a tensor; None where there are several, or it is unknown."""
        if self.scale is None or self.scale.size != 1:
            return None
        return float(self.scale.reshape(-1)[0])

    @property
    def has_many_scales(self) -> bool:
        return self.scale is not None and self.scale.size > 1

    def axis(self, rank: int) -> int:
        """The axis of the scales, counted from the front."""
        axis = self.node.integer("axis", 1)
        return axis + rank if axis < 0 else axis

    def same_grid(self, other: Quantizer) -> bool:
        """Whether both have the same scales and zero points, as far as is known."""
        return (
            self.number_type == other.number_type
            and _equal(self.scale, other.scale, self.node.input(1) == other.node.input(1))
            and _equal(self.zero_point, other.zero_point, self.node.input(2) == other.node.input(2))
        )


def read_quantizer(
    node: Node, values: Callable[[str], NDArray[Any] | None], types: Mapping[str, int]
) -> Quantizer | None:
    """The node as a Quantizer; None if it is none, or has no scale at all."""
    if node.op not in (Q, DQ) or not node.input(1) or not node.output:
        return None
    stored = types.get(node.input(2), 0) if node.input(2) else 0
    if node.op == DQ:
        number_type = stored or types.get(node.input(0), 0)
    else:
        number_type = stored or node.integer("output_dtype", 0)
        if not number_type and not node.input(2):
            number_type = TensorProto.UINT8  # what ONNX says of a Q without a zero point
    zero_point = values(node.input(2)) if node.input(2) else None
    return Quantizer(node, values(node.input(1)), zero_point, number_type)


def _equal(a: NDArray[Any] | None, b: NDArray[Any] | None, same_name: bool) -> bool:
    if same_name or (a is None and b is None):
        return True
    return a is not None and b is not None and bool(np.array_equal(a.reshape(-1), b.reshape(-1)))
