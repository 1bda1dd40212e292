"""A model without the numbers of its weights: shapes and rules need none of them."""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto, helper

from yolo_slim.export.tensorrt_rules.node import text

_LARGE_BYTES = 1 << 18


def without_weights(model: onnx.ModelProto) -> tuple[onnx.ModelProto, frozenset[str]]:
    """A copy whose large constants have become inputs of their type and shape, and their names.

    What does not hold as many bytes as its shape asks for is kept, so that ONNX can say so.
    """
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    graph = slim.graph
    declared = {text(info.name) for info in graph.input}
    names = set()
    for index in reversed(range(len(graph.initializer))):
        stored = graph.initializer[index]
        if len(stored.raw_data) < _LARGE_BYTES or len(stored.raw_data) != _n_bytes(stored):
            continue
        name = text(stored.name)
        names.add(name)
        if name not in declared:  # older files list their weights among the inputs
            info = helper.make_tensor_value_info(name, stored.data_type, list(stored.dims))
            graph.input.append(info)
        del graph.initializer[index]
    return slim, frozenset(names)


def _n_bytes(stored: TensorProto) -> int:
    """What its shape asks for; -1 where that is unknown."""
    if stored.data_type not in helper.get_all_tensor_dtypes():
        return -1
    dtype = helper.tensor_dtype_to_np_dtype(stored.data_type)
    return math.prod(stored.dims) * dtype.itemsize if dtype.itemsize else -1
