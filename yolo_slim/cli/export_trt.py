"""yolo-slim export_trt"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from yolo_slim.cli.engine_check import selftest as run_selftest
from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    NamesFile,
    Size,
    WeightsFile,
    console,
    progress,
    write_json,
)
from yolo_slim.cli.targets import check_file
from yolo_slim.cli.trt_options import (
    Batch,
    Capability,
    EngineFile,
    EngineModel,
    FlavorName,
    HardwareCompatible,
    Layers,
    Precision,
    Rest,
    Route,
    Selftest,
    SparseWeights,
    TimingCache,
    VersionCompatible,
    Workspace,
)
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.pipeline.engines import (
    build_engine,
    build_engine_by_torch,
    graph_of,
    layer_report,
)
from yolo_slim.pipeline.models import ModelSource
from yolo_slim.report.table import human
from yolo_slim.runtime.tensorrt import TensorRTSession, require_host_code
from yolo_slim.trt.api import require_gpu
from yolo_slim.trt.build import Plan, ready_api
from yolo_slim.trt.engine_file import (
    ENGINE_SUFFIX,
    EngineRecord,
    record_path,
    require_own_record,
    write_engine,
)
from yolo_slim.trt.settings import ONE_IMAGE, BuildSettings, read_batch

PORTABLE_NOTE = (
    "no --compute-capability: the engine is for every GPU of 8.0 and newer, which compiles it when "
    "it is opened; a Turing GPU needs --compute-capability 7.5"
)


def export_trt(
    model: EngineModel,
    out: EngineFile = None,
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    precision: Precision = None,
    float_rest: Rest = None,
    flavor: FlavorName = "tensorrt",
    compute_capability: Capability = None,
    batch: Batch = None,
    workspace: Workspace = None,
    timing_cache: TimingCache = None,
    version_compatible: VersionCompatible = False,
    hardware_compatible: HardwareCompatible = False,
    sparse_weights: SparseWeights = False,
    layers: Layers = None,
    route: Route = "onnx",
    selftest: Selftest = False,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    json: JsonFile = None,
) -> None:
    """Write a TensorRT engine of a model, or of an ONNX file that export_onnx wrote.

    FILE.engine is the plan as TensorRT wrote it; FILE.engine.json says what it is, for evaluate,
    profile and detect. The number types stand in the graph: INT8 wants a quantized model.
    """
    source = ModelSource(model, weights, names, size)
    settings = BuildSettings(
        flavor, compute_capability, ONE_IMAGE if batch is None else read_batch(batch), workspace,
        version_compatible, hardware_compatible, sparse_weights,
    )  # fmt: skip
    if source.path.suffix == ENGINE_SUFFIX:
        raise InputError(f"{model} is an engine already: give the model that it was made of")
    check_file(json, [*source.files, data, annotations], only_json=True)
    if selftest:
        _refuse_with(
            "--selftest, which writes no engine and builds all number types", out=out,
            precision=precision, float_rest=float_rest, batch=batch, timing_cache=timing_cache,
            layers=layers, route=None if route == "onnx" else route,
        )  # fmt: skip
        run_selftest(source, settings, data, images, annotations, json)
        return
    if out is None:
        raise InputError("--out is missing: name the .engine file to write")
    _refuse_without("--selftest", data=data, images=images, annotations=annotations)
    _check_targets(source, out, timing_cache, layers, json)
    if float_rest is not None and precision not in (None, "int8"):
        raise InputError(f"--float-rest is for INT8, and --precision {precision} was asked for")
    if layers is not None:
        require_gpu("--layers", "TensorRT tells them of an engine that it has loaded alone")
        if version_compatible:  # told now, not after the build
            require_host_code(str(out))
    started = time.perf_counter()
    int8_convolutions: tuple[str, ...] = ()
    if route == "torch-tensorrt":
        _refuse_with(
            "--route torch-tensorrt", float_rest=float_rest, batch=batch, workspace=workspace,
            timing_cache=timing_cache, flavor=None if flavor == "tensorrt" else flavor,
            compute_capability=compute_capability,
            version_compatible=version_compatible or None,
            hardware_compatible=hardware_compatible or None,
            sparse_weights=sparse_weights or None,
        )  # fmt: skip
        plan, record = build_engine_by_torch(source, precision)
    else:
        ready_api(settings, timing_cache is not None)  # before the model is looked at
        graph = graph_of(source, precision, float_rest or "fp32", settings.is_dynamic)
        if float_rest is not None and not graph.int8_convolutions:
            raise InputError(f"--float-rest is for INT8, and {model} is {graph.precision}")
        int8_convolutions = graph.int8_convolutions
        for text in graph.notes:
            note(console, text)
        if flavor == "rtx" and compute_capability is None:
            note(console, PORTABLE_NOTE)
        with progress(f"build {out.name}") as advance:
            plan, record = build_engine(graph, settings, _read(timing_cache), advance)
    write_engine(out, plan.data, record)
    _keep(timing_cache, plan)
    document = _document(out, record, time.perf_counter() - started)
    console.print(
        f"{out}: {human(len(plan.data), 'B')}, {record.precision}, {record.flavor} "
        f"{record.version}, compute capability {record.compute_capability}, built in "
        f"{document['seconds']:.1f} s; {record_path(out).name} belongs to it"
    )
    if layers is not None:
        report = layer_report(TensorRTSession(out), int8_convolutions)
        write_json(layers, report)
        document["convolutions"] = report["convolutions"]
        console.print(f"{layers}: convolutions by number type: {report['convolutions']}")
    write_json(json, document)


def _check_targets(
    source: ModelSource,
    out: Path,
    timing_cache: Path | None,
    layers: Path | None,
    json: Path | None,
) -> None:
    if out.suffix != ENGINE_SUFFIX:
        raise InputError(f"--out {out}: expected the name of a file that ends in {ENGINE_SUFFIX}")
    check_file(out, source.files)
    check_file(record_path(out), source.files)
    require_own_record(out)
    # Each has a file of its own: none is written over another.
    taken = [*source.files, out, record_path(out)]
    check_file(timing_cache, taken)
    check_file(layers, [*taken, timing_cache], only_json=True)
    check_file(json, [*taken, timing_cache, layers], only_json=True)


def _refuse_with(what: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} makes no sense with {what}")


def _refuse_without(what: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name} is for {what}")


def _read(timing_cache: Path | None) -> bytes | None:
    """What an earlier build measured; empty where this is the first."""
    if timing_cache is None:
        return None
    return timing_cache.read_bytes() if timing_cache.is_file() else b""


def _keep(timing_cache: Path | None, plan: Plan) -> None:
    if timing_cache is not None and plan.timing_cache is not None:
        with whole_file(timing_cache) as temporary:
            temporary.write_bytes(plan.timing_cache)


def _document(out: Path, record: EngineRecord, seconds: float) -> dict[str, Any]:
    return {
        "engine": str(out),
        "precision": record.precision,
        "flavor": record.flavor,
        "version": record.version,
        "compute_capability": record.compute_capability,
        "batch": list(record.batch),
        "plan_bytes": record.plan_bytes,
        "sha256": record.sha256,
        "seconds": seconds,
    }
