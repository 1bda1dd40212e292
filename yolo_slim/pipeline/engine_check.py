"""Does TensorRT compute what it should? Each number type, beside ONNX Runtime on one graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset
from yolo_slim.pipeline.engines import (
    EnginePrecision,
    FloatRest,
    build_engine,
    bundle_graph,
    layer_report,
)
from yolo_slim.pipeline.scoring import score
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import Array, OnnxSession, Session
from yolo_slim.runtime.tensorrt import TensorRTSession
from yolo_slim.trt.engine_file import write_engine
from yolo_slim.trt.settings import BuildSettings

CASES: tuple[tuple[EnginePrecision, FloatRest], ...] = (
    ("fp32", "fp32"), ("fp16", "fp16"), ("int8", "fp32"), ("int8", "fp16"),
)  # fmt: skip

LIMITS = {"fp32": 0.01, "fp16": 0.03, "int8": 0.1, "int8+fp16": 0.1}
"""Greatest difference of a sound engine. TensorRT multiplies float32 in TF32, whose mantissa is
FP16's; INT8 values on the edge of two steps may fall to either side. Chosen before any run."""


@dataclass(frozen=True)
class EngineCheck:
    """One engine. What needs a GPU is None where there is none.

    difference: root mean square of (engine - ONNX Runtime), over the standard deviation, of the
    head where it is greatest. convolutions: by the number type that they read; not_int8: those
    that are quantized and run in another type.
    """

    precision: str
    plan_bytes: int
    build_s: float
    difference: float | None = None
    latency_ms: float | None = None
    convolutions: dict[str, int] | None = None
    not_int8: tuple[str, ...] = ()
    onnx_ap: float | None = None
    engine_ap: float | None = None

    @property
    def is_sound(self) -> bool:
        return self.difference is None or self.difference <= LIMITS[self.precision]


def with_ranges(bundle: Bundle, batches: Sequence[torch.Tensor] | None = None) -> Bundle:
    """The bundle, quantized where it is not yet: on random pictures where there are none."""
    if bundle.precision is not None:
        return bundle
    return quantize(bundle, batches or [torch.from_numpy(random_images(bundle, 8))])


def random_images(bundle: Bundle, count: int, seed: int = 0) -> Array:
    shape = (count, bundle.cfg.net.channels, *bundle.cfg.input_hw)
    return np.random.default_rng(seed).random(shape, np.float32)


def check_engine(
    bundle: Bundle,
    case: tuple[EnginePrecision, FloatRest],
    settings: BuildSettings,
    folder: Path,
    dataset: Dataset | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EngineCheck:
    """Builds one engine in `folder` and, where there is a GPU, runs it.

    bundle: quantized. dataset: what AP is taken on; None for none. Raises as `build_engine` does.
    """
    graph = bundle_graph(bundle, *case)
    started = time.perf_counter()
    plan, record = build_engine(graph, settings, progress=progress)
    built = EngineCheck(record.precision, len(plan.data), time.perf_counter() - started)
    if not torch.cuda.is_available():
        return built
    path = folder / f"{record.precision}.engine"
    write_engine(path, plan.data, record)
    onnx_path = path.with_suffix(".onnx")
    onnx.save(graph.model, onnx_path)
    session, reference = TensorRTSession(path), OnnxSession(onnx_path, 1)
    images = random_images(bundle, 2, seed=1)
    report = layer_report(session, graph.int8_convolutions)
    latency = measure_latency({"engine": partial(TensorRTSession, path)})["engine"]
    return replace(
        built,
        difference=greatest_difference(session.run(images), reference.run(images)),
        latency_ms=latency.median_ms,
        convolutions=report["convolutions"],
        not_int8=tuple(report["quantized_but_not_int8"]),
        onnx_ap=_ap(reference, dataset),
        engine_ap=_ap(session, dataset),
    )


def greatest_difference(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """RMS of the difference over the standard deviation of `theirs`, of the worst map."""
    return max(
        float(np.sqrt(np.mean((a - b) ** 2)) / max(float(b.std()), 1e-12))
        for a, b in zip(ours, theirs, strict=True)
    )


def _ap(session: Session, dataset: Dataset | None) -> float | None:
    return None if dataset is None else score(Detector(session), dataset)["AP"]
