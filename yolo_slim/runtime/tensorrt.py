"""Runs an engine of TensorRT, or of TensorRT for RTX; torch's CUDA tensors are its buffers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from yolo_slim.errors import InputError, RunError
from yolo_slim.metadata import answer_of, from_metadata
from yolo_slim.runtime.output_room import allocator_of
from yolo_slim.runtime.session import Array, Session
from yolo_slim.trt.api import gpu_capability, load_api, log_of, require_gpu
from yolo_slim.trt.engine_file import EngineRecord, read_plan, read_record
from yolo_slim.trt.faults import failure
from yolo_slim.trt.settings import PORTABLE

DEVICE = "cuda"
HOST_CODE = "YOLO_SLIM_RUN_HOST_CODE"
"""Environment variable: 1 lets an engine that carries program code, a version-compatible one, run
it. Never needed for others."""

_LEAST_PORTABLE = (8, 0)


class TensorRTSession(Session):
    """Runs an engine that export_trt wrote, on this machine's GPU.

    Raises InputError, before anything of it is loaded, where there is no GPU, where the engine or
    the file beside it is missing or damaged, and where it is for another GPU or another version.
    """

    runtime = "tensorrt"

    def __init__(self, path: Path) -> None:
        require_gpu(f"{path}: an engine", "evaluate the .onnx in onnxruntime instead")
        self.record = read_record(path)
        super().__init__(*from_metadata(self.record.metadata, path.name))
        self.answer, self.suppression = answer_of(self.record.metadata, path.name)
        _require_this_gpu(path, self.record)
        api = load_api(self.record.flavor)
        _require_this_version(path, self.record, api.version)
        self.trt, log = api.trt, log_of(api.trt)
        log.clear()
        self._runtime = self._started(self.trt.Runtime(log), path)
        runtime, plan = self._runtime, read_plan(path, self.record)
        self.engine = engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise RunError(f"{path}: {api.name} cannot load it: {failure(log.errors)}")
        self.context = engine.create_execution_context()
        if self.context is None:
            raise RunError(f"{path}: no memory to run it: {failure(log.errors)}")
        self.log, self.path = log, path
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.input = _input_of(self.trt, engine)

    def run(self, images: Array) -> list[Array]:
        least, _, greatest = self.record.batch
        parts = []
        for start in range(0, len(images), greatest):
            part = self._run(torch.from_numpy(images[start : start + greatest]), least)
            if self.answer == "detections":
                part[0][:, 0] += start
            parts.append(part)
        return [np.concatenate(tensors) for tensors in zip(*parts, strict=True)]

    def layers(self) -> str:
        """The inspector's report, in JSON, of the engine as it is run."""
        trt, engine, context = self.trt, self.engine, self.context
        inspector = engine.create_engine_inspector()
        shape = (self.record.batch[1], self.cfg.net.channels, *self.cfg.input_hw)
        context.set_input_shape(self.input, shape)
        inspector.execution_context = context  # of a dynamic engine formats are told so alone
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def _run(self, images: Tensor, least: int) -> list[Array]:
        n_images = len(images)
        if n_images < least:  # the last one again: the engine takes no fewer
            images = torch.cat([images, images[-1:].expand(least - n_images, -1, -1, -1)])
        context = self.context
        with torch.cuda.stream(self.stream):
            x = images.to(DEVICE).contiguous()
            if not context.set_input_shape(self.input, tuple(x.shape)):
                raise RunError(f"{self.path} does not take {tuple(x.shape)}: {self._told()}")
            context.set_tensor_address(self.input, x.data_ptr())
            rooms = [self._room(name) for name in self.record.outputs]
            if not context.execute_async_v3(self.stream.cuda_stream):
                raise RunError(f"{self.path} stopped: {self._told()}")
            self.stream.synchronize()
            arrays: list[Array] = [given().float().cpu().numpy() for given in rooms]
        if self.answer == "detections":
            return [rows[rows[:, 0] < n_images] for rows in arrays]
        return [values[:n_images] for values in arrays]

    def _room(self, name: str) -> Callable[[], Tensor]:
        """Where an output is to be written; gives what was, once the run has ended."""
        context = self.context
        dtype, shape = self._dtype(name), tuple(context.get_tensor_shape(name))
        if min(shape, default=0) < 0:  # how many detections there are, the pictures decide
            allocator = allocator_of(self.trt, DEVICE)
            context.set_output_allocator(name, allocator)
            return lambda: cast(Tensor, allocator.values(dtype))
        buffer = torch.empty(shape, dtype=dtype, device=DEVICE)
        context.set_tensor_address(name, buffer.data_ptr())
        return lambda: buffer

    def _dtype(self, name: str) -> torch.dtype:
        trt, engine = self.trt, self.engine
        types = {trt.float32: torch.float32, trt.float16: torch.float16}
        dtype = types.get(engine.get_tensor_dtype(name))
        if dtype is None:
            raise RunError(f"{self.path}: output {name} is no float tensor: build it again")
        return dtype

    def _started(self, runtime: Any, path: Path) -> Any:
        """The runtime, which runs an engine's own program code only where a person said so."""
        if self.record.version_compatible:
            require_host_code(str(path))
            runtime.engine_host_code_allowed = True
        return runtime

    def _told(self) -> str:
        return failure(self.log.errors)


def require_host_code(engine: str) -> None:
    """Raises InputError where no person has said that a version-compatible engine may be run."""
    if os.environ.get(HOST_CODE) != "1":
        raise InputError(
            f"{engine} is version-compatible: it carries program code, which is not run unasked. "
            f"If you built it yourself, set {HOST_CODE}=1"
        )


def _input_of(trt: Any, engine: Any) -> str:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return str(next(n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT))


def _require_this_gpu(path: Path, record: EngineRecord) -> None:
    here, wanted = gpu_capability(), record.compute_capability
    if record.hardware_compatible or wanted == PORTABLE:
        if tuple(map(int, here.split("."))) >= _LEAST_PORTABLE:
            return
        wanted = "8.0 and newer"
    if here != wanted:
        raise InputError(
            f"{path} was built for a GPU of compute capability {wanted}; this one has {here}: "
            "build it again for this one"
        )


def _require_this_version(path: Path, record: EngineRecord, installed: str) -> None:
    if record.version != installed and not record.version_compatible:
        raise InputError(
            f"{path} was built by {record.flavor} {record.version}; installed is {installed}, "
            "which cannot read it: build it again"
        )
