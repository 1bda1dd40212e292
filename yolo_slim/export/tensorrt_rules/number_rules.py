"""Rules on the numbers of each QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from yolo_slim.export.tensorrt_rules.finding import Finding, found
from yolo_slim.export.tensorrt_rules.quantizer import Quantizer
from yolo_slim.export.tensorrt_rules.view import GraphView

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
HALF_OPSET = 19
"""The first with float16 and bfloat16 scales."""

_OTHER_TYPES = frozenset(
    getattr(TensorProto, name)
    for name in (
        "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT4E2M1", "INT4",
    )
    if hasattr(TensorProto, name)
)  # fmt: skip


def number_rules(view: GraphView) -> Iterator[Finding]:
    """Every rule on every quantizer. What a DQ has in common with its Q is told of the Q alone."""
    for quantizer in view.quantizers.values():
        before = view.quantizers.get(quantizer.data)
        if before is not None and before.is_q and not quantizer.is_q:
            if before.same_grid(quantizer):
                continue
            yield from _stretched(before, quantizer)
        yield from _number_type(quantizer)
        if quantizer.number_type in _OTHER_TYPES:
            continue  # blocks and scales of other types follow other rules
        yield from _zero_point(view, quantizer)
        yield from _scale(view, quantizer)
        yield from _count(view, quantizer)


def half_scales(view: GraphView) -> set[int]:
    """The types of 16 bits that scales have."""
    types = {view.types.get(q.node.input(1), 0) for q in view.quantizers.values()}
    return types & {TensorProto.FLOAT16, TensorProto.BFLOAT16}


def type_name(number_type: int) -> str:
    """
    >>> type_name(2), type_name(10), type_name(0), type_name(999)
    ('UINT8', 'FLOAT16', 'of unknown type', 'of unknown type')
    """
    if number_type in TensorProto.DataType.values() and number_type:
        return str(TensorProto.DataType.Name(number_type))
    return "of unknown type"


def _stretched(q: Quantizer, dq: Quantizer) -> Iterator[Finding]:
    if q.step is not None and dq.step is not None and q.step != dq.step:
        yield found(
            "pair-scales", dq.node.where,
            f"scale {dq.step:.6g}, and {q.step:.6g} in {q.node.where} before it; expected one",
        )  # fmt: skip


def _number_type(quantizer: Quantizer) -> Iterator[Finding]:
    number_type, where = quantizer.number_type, quantizer.node.where
    name = type_name(number_type)
    if number_type in (0, TensorProto.INT8):
        return
    if number_type in _OTHER_TYPES:
        yield found("other-number-type", where, f"steps are {name}, not INT8")
    elif number_type == TensorProto.INT32 and not quantizer.is_q:
        yield found("int32-bias", where, "reads INT32, as of a bias; expected a float bias")
    elif number_type == TensorProto.UINT8 and not quantizer.node.input(2):
        yield found(
            "not-int8", where,
            "has no zero point, so its steps are UINT8; expected an INT8 zero point of 0",
        )  # fmt: skip
    else:
        yield found("not-int8", where, f"steps are {name}; expected INT8")


def _zero_point(view: GraphView, quantizer: Quantizer) -> Iterator[Finding]:
    name, values = quantizer.node.input(2), quantizer.zero_point
    if values is None:
        if name and name not in view.constants:
            yield found(
                "nonzero-zero-point", quantizer.node.where,
                f"its zero point {name} is computed from an input; expected a constant 0",
            )  # fmt: skip
        return
    wrong = values.reshape(-1)[_nonzero(values)]
    if wrong.size:
        several = f", {wrong.size} of {values.size} are not 0" if values.size > 1 else ""
        yield found(
            "nonzero-zero-point", quantizer.node.where,
            f"zero point {wrong[0]}{several}; expected 0",
        )  # fmt: skip


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.astype(np.float64).reshape(-1) != 0)


def _scale(view: GraphView, quantizer: Quantizer) -> Iterator[Finding]:
    name, where, values = quantizer.node.input(1), quantizer.node.where, quantizer.scale
    if values is None:
        if name not in view.constants:
            yield found(
                "scale-not-constant", where,
                f"its scale {name} is computed from an input; expected a constant",
            )  # fmt: skip
        else:
            yield found(
                "computed-scale", where,
                f"its scale {name} is computed from constants; expected the number itself",
            )  # fmt: skip
        return
    floats = values.astype(np.float64).reshape(-1)
    wrong = floats[~(np.isfinite(floats) & (floats > 0))]
    if wrong.size:
        several = f", {wrong.size} of {floats.size} are of that kind" if floats.size > 1 else ""
        yield found(
            "scale-not-positive", where, f"scale {wrong[0]:g}{several}; expected a number over 0"
        )


def _count(view: GraphView, quantizer: Quantizer) -> Iterator[Finding]:
    scale, shape = quantizer.scale, view.shapes.get(quantizer.data)
    if scale is None or scale.size == 1:
        return
    where = quantizer.node.where
    if scale.ndim != 1 or quantizer.node.integer("block_size", 0):
        shown = "x".join(map(str, scale.shape))
        yield found(
            "scale-count", where,
            f"{shown} scales, for blocks of a tensor; INT8 has one, or one a channel",
        )  # fmt: skip
        return
    if quantizer.data not in view.constants:
        yield found(
            "per-channel-activation", where,
            f"{scale.size} scales for {quantizer.data}, which is no weight; expected one",
        )  # fmt: skip
        return
    if shape is None:
        return
    axis = quantizer.axis(len(shape))
    if not 0 <= axis < len(shape):
        yield found("weight-axis", where, f"axis {axis} of a weight with {len(shape)} axes")
    elif shape[axis] is not None and shape[axis] != scale.size:
        yield found(
            "scale-count", where,
            f"{scale.size} scales for {shape[axis]} entries of axis {axis}; expected as many",
        )  # fmt: skip
