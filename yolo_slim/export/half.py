"""FP16 of an exported graph, for engines that take their precision from it, as TensorRT 11 does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from yolo_slim.errors import InputError

_LARGEST = float(np.finfo(np.float16).max)  # 65504
_SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)

_AFTER_THE_MAPS = frozenset({"decode", "boxes", "scores", "suppress", "detections"})
"""How names of nodes begin that stay in float32: between 416 px and 416.25 px FP16 has nothing."""

_FLOAT32_INPUTS = frozenset({("Resize", 2)})
"""Operator and input whose type is float32 by definition: the factors of a Resize."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that `export_onnx` wrote, computed in FP16 up to the raw maps of its heads.

    Input and outputs stay float32, with casts at the borders; so does what follows the maps (boxes,
    scores, suppression). Steps of INT8 rounding become FP16, as ONNX asks from opset 19 on: a step
    has the type of what is rounded. Steps below FP16's normal numbers are rounded up, so that none
    becomes 0, and stored kernels are rounded to the new ones.

    Raises InputError, naming the tensor, for a number beyond +-65504, which FP16 cannot hold: cut
    off there it would be another network. Also for INT8 of the 'cpu' profile.
    """
    return _Halver(model).run()


class _Halver:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {c.name: c for c in model.graph.initializer}
        self.outputs = {output.name for output in model.graph.output}
        self.floats = _float_tensors(model)
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[str, onnx.TensorProto] = {}  # constants of the new graph
        self.is_half: set[str] = set()  # tensors that hold FP16 under their old name
        self.cast: set[str] = set()

    def run(self) -> onnx.ModelProto:
        for node in self.model.graph.node:
            self.add(node)
        half = onnx.ModelProto()
        half.CopyFrom(self.model)
        for field, values in (("node", self.nodes), ("initializer", self.made.values())):
            half.graph.ClearField(field)
            getattr(half.graph, field).extend(values)
        onnx.checker.check_model(half, full_check=True)
        return half

    def add(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if node.name.split(".")[0] in _AFTER_THE_MAPS:
            new.input[:] = [self.read(name, "float") for name in node.input]
            self.nodes.append(new)
            return
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self.round_steps(node)
        for place, name in enumerate(node.input):
            stays = (node.op_type, place) in _FLOAT32_INPUTS
            new.input[place] = self.read(name, "float" if stays else "half")
        self.nodes.append(new)
        for place, name in enumerate(node.output):
            if name not in self.floats:
                continue
            if name in self.outputs:
                new.output[place] = f"{name}.half"
                self.nodes.append(_cast(f"{name}.half", name, TensorProto.FLOAT))
            else:
                self.is_half.add(name)

    def read(self, name: str, wanted: str) -> str:
        """The tensor `name` in the type that is wanted: 'float' or 'half'."""
        if name in self.constants:
            return self.constant(name, wanted)
        if name not in self.floats or (name in self.is_half) == (wanted == "half"):
            return name
        other = f"{name}.{wanted}"
        if other not in self.cast:
            self.cast.add(other)
            kind = TensorProto.FLOAT16 if wanted == "half" else TensorProto.FLOAT
            self.nodes.append(_cast(name, other, kind))
        return other

    def constant(self, name: str, wanted: str) -> str:
        if wanted == "float" or name not in self.floats:
            self.made.setdefault(name, self.constants[name])
            return name
        other = f"{name}.half"
        if other not in self.made:
            values = numpy_helper.to_array(self.constants[name])
            _require_range(name, values)
            self.store(other, values.astype(np.float16))
        return other

    def round_steps(self, node: onnx.NodeProto) -> None:
        """Makes the FP16 scale of a rounding, and the integers of a kernel that is stored in it."""
        rounded, scale, zero_point = node.input
        if self.constants[zero_point].data_type != TensorProto.INT8:
            raise InputError(
                f"{node.name}: FP16 goes with INT8 for TensorRT, not with --int8 cpu: leave out "
                "--half or take --int8 tensorrt"
            )
        exact = numpy_helper.to_array(self.constants[scale])
        _require_range(node.name, exact * 128)
        if f"{scale}.half" not in self.made:
            self.store(f"{scale}.half", _half_steps(exact))
        if rounded in self.constants:
            halved = numpy_helper.to_array(self.made[f"{scale}.half"]).astype(np.float64)
            steps = numpy_helper.to_array(self.constants[rounded])
            ratio = (exact / halved).reshape((-1,) + (1,) * (steps.ndim - 1))
            self.store(rounded, np.rint(steps * ratio).clip(-127, 127).astype(np.int8))

    def store(self, name: str, values: NDArray[Any]) -> None:
        self.made[name] = numpy_helper.from_array(np.asarray(values), name)


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 tensors, constants among them."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    return {i.name for i in infos if i.type.tensor_type.elem_type == TensorProto.FLOAT} | {
        c.name for c in graph.initializer if c.data_type == TensorProto.FLOAT
    }


def _half_steps(steps: NDArray[Any]) -> NDArray[Any]:
    half = steps.astype(np.float16)
    up = (steps < _SMALLEST_NORMAL) & (half < steps)
    return np.where(up, np.nextafter(half, np.float16(np.inf)), half)


def _require_range(name: str, values: NDArray[Any]) -> None:
    if not (np.abs(values) <= _LARGEST).all():
        raise InputError(
            f"{name} reaches {np.abs(values).max():g}: FP16 holds numbers up to {_LARGEST:.0f}; "
            "export it in float32"
        )


def _cast(name: str, other: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [other], name=f"{other}.cast", to=kind)
