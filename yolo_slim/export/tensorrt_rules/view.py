"""A graph to ask questions of: who makes a tensor, who reads it, what is known of it."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from yolo_slim.export.tensorrt_rules.node import OWN_DOMAINS, Node, flat_nodes, graphs_of, text
from yolo_slim.export.tensorrt_rules.quantizer import Quantizer, read_quantizer

Shape = tuple[int | None, ...]

_READ_SIZE = 1 << 20
"""Entries up to which a constant is read: scales, zero points, sizes; never a kernel."""
_NEVER_CONSTANT = ("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")


class GraphView:
    """All nodes of a model in one list, and its tensors by name.

    weights: inputs that stand for large constants.
    nodes: every node before those that read it, if the file is in order. outputs: names of the
    model's outputs. types: element type by tensor. shapes: None for a side that is unknown.
    """

    def __init__(self, model: onnx.ModelProto, weights: frozenset[str] = frozenset()) -> None:
        self.model = model
        self.opset = next((o.version for o in model.opset_import if o.domain in OWN_DOMAINS), 1)
        self.nodes = list(flat_nodes(model.graph))
        self.outputs = [text(output.name) for output in model.graph.output]
        self.makers: dict[str, Node] = {}
        self._readers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            self.makers |= {name: node for name in node.outputs if name}
            for name in dict.fromkeys((*node.inputs, *node.bodies)):
                if name:
                    self._readers[name].append(node)
        self._stored: dict[str, TensorProto] = {}
        self.types: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        for graph in graphs_of(model.graph):
            self._describe(graph)
        self.constants = self._constants(weights)
        self._read: dict[str, NDArray[Any] | None] = {}

    def maker(self, tensor: str) -> Node | None:
        """The node that makes the tensor; None for inputs and stored constants."""
        return self.makers.get(tensor)

    def readers(self, tensor: str) -> list[Node]:
        return self._readers.get(tensor, [])

    @cached_property
    def quantizers(self) -> dict[str, Quantizer]:
        """Every QuantizeLinear and DequantizeLinear, by the tensor that it makes."""
        found: dict[str, Quantizer] = {}
        types = dict(self.types)
        for node in self.nodes:
            quantizer = read_quantizer(node, self.values, types)
            if quantizer is not None:
                found[quantizer.output] = quantizer
                if quantizer.is_q:  # shapes, and types with them, cannot always be inferred
                    types.setdefault(quantizer.output, quantizer.number_type)
        return found

    def values(self, tensor: str) -> NDArray[Any] | None:
        """What a small stored constant holds, also behind Identity; None where that is unknown."""
        if tensor not in self._read:
            self._read[tensor] = self._values(tensor)
        return self._read[tensor]

    def _values(self, tensor: str) -> NDArray[Any] | None:
        name, seen = tensor, set()
        while (node := self.makers.get(name)) and node.op == "Identity" and name not in seen:
            seen.add(name)
            name = node.input(0)
        stored = self._stored.get(name)
        if stored is None or _size(stored) > _READ_SIZE:
            return None
        try:
            return np.asarray(numpy_helper.to_array(stored))
        except Exception:  # a broken constant raises whatever numpy or protobuf does
            return None

    def _describe(self, graph: onnx.GraphProto) -> None:
        for info in (*graph.input, *graph.value_info, *graph.output):
            if not info.type.HasField("tensor_type"):
                continue
            tensor, name = info.type.tensor_type, text(info.name)
            if tensor.elem_type:
                self.types[name] = tensor.elem_type
            if tensor.HasField("shape"):
                self.shapes[name] = tuple(
                    side.dim_value if side.HasField("dim_value") else None
                    for side in tensor.shape.dim
                )
        for stored in graph.initializer:
            self._store(text(stored.name), stored)
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    made = _of_attribute(attribute)
                    if made is not None:
                        self._store(text(node.output[0]), made)

    def _store(self, name: str, stored: TensorProto) -> None:
        self._stored[name] = stored
        self.types[name] = stored.data_type
        self.shapes[name] = tuple(stored.dims)

    def _constants(self, weights: frozenset[str]) -> set[str]:
        """Tensors that no input has a part in: stored ones, and all that is computed from them."""
        known = set(weights) | set(self._stored)
        for graph in graphs_of(self.model.graph):
            known |= {text(sparse.values.name) for sparse in graph.sparse_initializer}
        for node in self.nodes:
            read = [name for name in node.inputs if name]
            computed = bool(read) and not node.bodies and known.issuperset(read)
            random = node.op.startswith(_NEVER_CONSTANT)
            if node.op == "Constant" or (computed and not random):
                known.update(name for name in node.outputs if name)
        return known


def _size(stored: TensorProto) -> int:
    size = 1
    for side in stored.dims:
        size *= max(side, 0)
    return size


def _of_attribute(attribute: onnx.AttributeProto) -> TensorProto | None:
    """The tensor that an attribute of Constant stands for."""
    match attribute.name:
        case "value":
            return attribute.t
        case "value_float":
            return numpy_helper.from_array(np.asarray(attribute.f, np.float32))
        case "value_floats":
            return numpy_helper.from_array(np.asarray(attribute.floats, np.float32))
        case "value_int":
            return numpy_helper.from_array(np.asarray(attribute.i, np.int64))
        case "value_ints":
            return numpy_helper.from_array(np.asarray(attribute.ints, np.int64))
    return None
