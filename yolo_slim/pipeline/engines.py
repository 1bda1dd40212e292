"""From a model, or an ONNX file, to an engine: which graph, built how, described how."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import TensorProto

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.export.half import to_half
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.export.tensorrt_rules.read import read_model
from yolo_slim.export.tensorrt_rules.run import check
from yolo_slim.fold import fold_batchnorm
from yolo_slim.metadata import IMAGE_NAME, answer_of, from_metadata, output_names, to_metadata
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.runtime.tensorrt import TensorRTSession
from yolo_slim.trt.api import gpu_capability, load_api
from yolo_slim.trt.build import Plan, build_plan
from yolo_slim.trt.engine_file import EngineRecord, sha256_of
from yolo_slim.trt.layers import convolution_types, not_in_int8, read_layers
from yolo_slim.trt.settings import BuildSettings
from yolo_slim.trt.torch_route import torch_tensorrt_plan
from yolo_slim.weights import network_of

EnginePrecision = Literal["fp32", "fp16", "int8"]
FloatRest = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class EngineGraph:
    """A graph whose number types are those that the engine will have.

    precision: as in an EngineRecord. source: its name in errors. notes: what a reader of its cfg
    should know.
    """

    model: onnx.ModelProto
    precision: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, str]:
        return {entry.key: entry.value for entry in self.model.metadata_props}

    @property
    def int8_convolutions(self) -> tuple[str, ...]:
        """Nodes whose kernel is stored in INT8."""
        stored = {
            node.output[0] for node in self.model.graph.node if node.op_type == "DequantizeLinear"
        }
        return tuple(
            node.name
            for node in self.model.graph.node
            if node.op_type == "Conv" and node.input[1] in stored
        )


def graph_of(
    source: ModelSource, precision: EnginePrecision | None, rest: FloatRest, dynamic_batch: bool
) -> EngineGraph:
    """The graph of what was named. precision: None for what it is: INT8 where it was quantized,
    float32 else, and what stands in an ONNX file. rest: of what is not INT8.

    Raises InputError for a file that export_onnx did not write, and for a number type that the
    model is not in and cannot be brought to.
    """
    if source.path.suffix == ".onnx":
        return _graph_of_file(source, precision, rest)
    bundle = load_model(source)
    precision = precision or ("int8" if bundle.precision else "fp32")
    return bundle_graph(bundle, precision, rest, dynamic_batch)


def bundle_graph(
    bundle: Bundle,
    precision: EnginePrecision,
    rest: FloatRest = "fp32",
    dynamic_batch: bool = False,
) -> EngineGraph:
    """Raises InputError where INT8 is asked of a bundle that was never quantized."""
    if precision == "int8" and bundle.precision is None:
        raise InputError(
            f"{bundle.cfg.source} has no INT8 ranges: `yolo-slim quantize` finds them on training "
            "images; give its bundle here"
        )
    with tempfile.TemporaryDirectory() as folder:
        model = export_onnx(
            bundle,
            Path(folder) / "model.onnx",
            int8="tensorrt" if precision == "int8" else None,
            dynamic_batch=dynamic_batch,
            half=_wants_half(precision, rest),
        )
    return replace(_told(model, precision, bundle.cfg.source), notes=tuple(bundle.cfg.notes))


def build_engine(
    graph: EngineGraph,
    settings: BuildSettings,
    timing_cache: bytes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Plan, EngineRecord]:
    """Builds the engine, and says what it is. Raises as `build_plan` does, and InputError for a
    suppression that no engine can have."""
    answer, _ = answer_of(graph.metadata, graph.source)
    if settings.flavor == "rtx" and answer == "detections":  # it parses, and has no kernel
        raise InputError(
            f"{graph.source}: TensorRT for RTX has no suppression: export it with --output boxes, "
            "which are suppressed where they are read"
        )
    plan = build_plan(graph.model, graph.source, settings, timing_cache, progress)
    outputs = tuple(output.name for output in graph.model.graph.output)
    return plan, _record(plan, graph.precision, settings, outputs, graph.metadata)


def build_engine_by_torch(
    source: ModelSource, precision: EnginePrecision | None
) -> tuple[Plan, EngineRecord]:
    """The same by Torch-TensorRT: float, one image at a time."""
    if source.path.suffix == ".onnx":
        raise InputError(
            f"{source.model} is an ONNX file: Torch-TensorRT starts at a bundle; leave out --route"
        )
    if precision == "int8":
        raise InputError(
            "--route torch-tensorrt has no INT8 of ours: it wants NVIDIA ModelOpt's own Q/DQ; use "
            "--route onnx"
        )
    bundle = fold_batchnorm(load_model(source))
    network = network_of(bundle.cfg, bundle.weights)
    half = precision == "fp16"
    data, outputs = torch_tensorrt_plan(
        network, (bundle.cfg.net.channels, *bundle.cfg.input_hw), half
    )
    plan = Plan(data, load_api("tensorrt").version, gpu_capability())
    told = "fp16" if half else "fp32"
    return plan, _record(plan, told, BuildSettings(), outputs, to_metadata(bundle))


def layer_report(session: TensorRTSession, int8_convolutions: tuple[str, ...]) -> dict[str, Any]:
    """What the inspector says, to be written as JSON: which layers run in which number type."""
    text = session.layers()
    layers = read_layers(text)
    return {
        "convolutions": convolution_types(layers),
        "quantized_but_not_int8": list(not_in_int8(layers, int8_convolutions)),
        "layers": [
            {"name": layer.name, "kind": layer.kind, "reads": layer.reads,
             "weights": layer.weights, "nodes": list(layer.nodes)}
            for layer in layers
        ],
        "inspector": _as_json(text),
    }  # fmt: skip


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _record(
    plan: Plan,
    precision: str,
    settings: BuildSettings,
    outputs: tuple[str, ...],
    metadata: dict[str, str],
) -> EngineRecord:
    return EngineRecord(
        sha256=sha256_of(plan.data),
        plan_bytes=len(plan.data),
        precision=precision,
        flavor=settings.flavor,
        version=plan.version,
        compute_capability=plan.compute_capability,
        batch=settings.batch,
        outputs=outputs,
        metadata=metadata,
        version_compatible=settings.version_compatible,
        hardware_compatible=settings.hardware_compatible,
    )


def _graph_of_file(
    source: ModelSource, precision: EnginePrecision | None, rest: FloatRest
) -> EngineGraph:
    for option, given in (
        ("--weights", source.weights), ("--names", source.names), ("--size", source.size_px),
    ):  # fmt: skip
        if given is not None:
            raise InputError(f"{source.model} is an ONNX file: {option} makes no sense with it")
    model = _read_onnx(source.path)
    found = _precision_in(model)
    if precision is not None and precision != found and (precision, found) != ("fp16", "fp32"):
        advice = "quantize the model first" if precision == "int8" else "leave out --precision"
        raise InputError(f"{source.model} is {found}, and {precision} was asked for: {advice}")
    if found == "int8":
        _require_ready(model, source.model)
    precision = precision or found
    if _wants_half(precision, rest) and not _is_half(model):
        model = to_half(model)
    return _told(model, precision, source.model)


def _wants_half(precision: EnginePrecision, rest: FloatRest) -> bool:
    return rest == "fp16" if precision == "int8" else precision == "fp16"


def _told(model: onnx.ModelProto, precision: EnginePrecision, source: str) -> EngineGraph:
    is_mixed = precision == "int8" and _is_half(model)
    return EngineGraph(model, "int8+fp16" if is_mixed else precision, source)


def _precision_in(model: onnx.ModelProto) -> EnginePrecision:
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    return "fp16" if _is_half(model) else "fp32"


def _is_half(model: onnx.ModelProto) -> bool:
    return any(c.data_type == TensorProto.FLOAT16 for c in model.graph.initializer)


def _require_ready(model: onnx.ModelProto, source: str) -> None:
    """Raises InputError, with the node, for Q/DQ that TensorRT refuses or reads otherwise.

    Its parser takes UINT8 with zero point 0 for INT8, with a warning: what is over 127 is clipped.
    """
    faults = [finding for finding in check(model) if finding.severity == "fault"]
    if faults:
        first = faults[0]
        more = f" `yolo-slim check_onnx` names all {len(faults)}" if len(faults) > 1 else ""
        raise InputError(f"{source}: {first.node}: {first.message}. {first.advice}{more}")


def _read_onnx(path: Path) -> onnx.ModelProto:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    model = read_model(path)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a sound ONNX graph ({told}); export it again") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    cfg, _ = from_metadata(metadata, path.name)
    wanted = ((IMAGE_NAME,), output_names(cfg, answer_of(metadata, path.name)[0]))
    found = tuple(tuple(t.name for t in ends) for ends in (model.graph.input, model.graph.output))
    if found != wanted:
        raise InputError(
            f"{path}: reads {', '.join(found[0])} and gives {', '.join(found[1])}; its metadata "
            f"promise {', '.join(wanted[0])} and {', '.join(wanted[1])}: export it again"
        )
    return model
