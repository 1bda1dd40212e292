"""An imitation of TensorRT's runtime, for machines without a GPU: a plan is an ONNX file, which
ONNX Runtime computes; addresses, shapes, streams and refusals are as TensorRT's."""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from yolo_slim.trt.build import Plan

VERSION = "11.4.0.106"
STREAM = 77
LAYER = {"Name": "0.conv", "ParameterType": "Convolution", "Metadata": "[ONNX Layer: 0.conv]",
         "Inputs": [{"Format/Datatype": "Row major linear FP32"}]}  # fmt: skip


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self) -> None:
        pass


class IOutputAllocator:
    def __init__(self) -> None:
        pass


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        try:
            return Engine(plan, self)
        except Exception as error:  # as TensorRT: told to the logger, and None
            told = f"IRuntime::deserialize: Error Code 1: Serialization ({error} In a at b.cpp:3)"
            self.logger.log(ILogger.ERROR, told)
            return None


class Engine:
    def __init__(self, plan: bytes, runtime: Runtime) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(plan, options)
        self.runtime = runtime
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        # Not in the graph's order: what it is, the record says.
        self.outputs = [tensor.name for tensor in self.session.get_outputs()][::-1]
        self.num_io_tensors = len(self.inputs + self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return (self.outputs + self.inputs)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "INPUT" if name in self.inputs else "OUTPUT"

    def get_tensor_dtype(self, name: str) -> str:
        return "FLOAT"

    def create_execution_context(self) -> Context:
        return Context(self)

    def create_engine_inspector(self) -> Inspector:
        return Inspector()


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.allocators: dict[str, IOutputAllocator] = {}
        self.batches: list[int] = []

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        wanted = self.engine.session.get_inputs()[0].shape
        fits = all(isinstance(w, str) or w == s for w, s in zip(wanted, shape, strict=True))
        if fits:
            self.shapes[name] = shape
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        (tensor,) = (t for t in self.engine.session.get_outputs() if t.name == name)
        n_images = self.shapes[self.engine.inputs[0]][0]
        known = {"batch": n_images}
        return tuple(s if isinstance(s, int) else known.get(s, -1) for s in tensor.shape)

    def set_output_allocator(self, name: str, allocator: IOutputAllocator) -> bool:
        self.allocators[name] = allocator
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == STREAM
        (name,) = self.engine.inputs
        images = self._memory(name, self.shapes[name]).copy()
        self.batches.append(len(images))
        names = [name for name in self.engine.outputs]
        for output, values in zip(names, self.engine.session.run(names, {name: images}),
                                  strict=True):  # fmt: skip
            if output in self.allocators:
                allocator = self.allocators[output]
                room = allocator.reallocate_output_async(output, 0, values.nbytes, 256, STREAM)
                assert room, "TensorRT requires a non-null ptr even for empty tensors"
                allocator.notify_shape(output, values.shape)
                self.addresses[output] = room
            self._memory(output, values.shape)[:] = values
        return True

    def _memory(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        room = (ctypes.c_float * int(np.prod(shape))).from_address(self.addresses[name])
        return np.ctypeslib.as_array(room).reshape(shape)


class Inspector:
    execution_context: Context | None = None

    def get_engine_information(self, layer_format: str) -> str:
        assert layer_format == "JSON" and self.execution_context is not None
        return json.dumps({"Layers": [LAYER]})


def plan_of(model: onnx.ModelProto, *_: object, **__: object) -> Plan:
    """In the place of `build_plan`."""
    return Plan(model.SerializeToString(), VERSION, "8.6")


def install(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (8, 6)) -> None:
    """`tensorrt` is the imitation from here on, and torch's GPU is the CPU."""
    module = ModuleType("tensorrt")
    module.__dict__.update(
        __version__=VERSION, ILogger=ILogger, Runtime=Runtime,
        IOutputAllocator=IOutputAllocator, float32="FLOAT", float16="HALF",
        TensorIOMode=SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT"),
        LayerInformationFormat=SimpleNamespace(JSON="JSON"),
    )  # fmt: skip
    stream = SimpleNamespace(cuda_stream=STREAM, synchronize=lambda: None)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr("yolo_slim.runtime.tensorrt.DEVICE", "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)
    monkeypatch.setattr("torch.cuda.Stream", lambda: stream)
    monkeypatch.setattr("torch.cuda.stream", lambda stream: nullcontext())
