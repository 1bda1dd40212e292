"""`export_trt --selftest`: every number type of a model, as far as this machine can go."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import torch
from rich.table import Table

from yolo_slim.bundle import Bundle
from yolo_slim.cli.options import console, dataset, progress, tell_notes, write_json
from yolo_slim.console import note
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError, RunError
from yolo_slim.pipeline.engine_check import CASES, LIMITS, EngineCheck, check_engine, with_ranges
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.scoring import input_batches, require_boxes
from yolo_slim.report.table import human
from yolo_slim.runtime.tensorrt import require_host_code
from yolo_slim.trt.build import ready_api
from yolo_slim.trt.settings import BuildSettings

CALIBRATION_IMAGES = 64


def selftest(
    source: ModelSource,
    settings: BuildSettings,
    data: Path | None,
    images: Path | None,
    annotations: Path | None,
    json: Path | None,
) -> None:
    """Raises RunError where an engine does not compute what its graph does."""
    has_gpu = torch.cuda.is_available()
    if not has_gpu and settings.flavor == "tensorrt":
        note(console, "no GPU: built ahead of time with --flavor rtx in place of tensorrt")
        settings = replace(settings, flavor="rtx")
    api = ready_api(settings)
    if source.path.suffix == ".onnx":
        raise InputError(f"{source.model} is an ONNX file; --selftest needs a bundle or a cfg")
    if has_gpu and settings.version_compatible:  # told now, not after a build
        require_host_code("what --selftest builds")
    bundle = load_model(source, untrained=True)
    tell_notes(bundle.cfg)
    wanted = (data, images, annotations)
    scored = _scored(bundle, *wanted) if has_gpu and any(wanted) else None
    bundle = _quantized(bundle, *wanted)
    checks = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            with progress(f"build {'+'.join(dict.fromkeys(case))}") as advance:
                checks.append(check_engine(bundle, case, settings, Path(folder), scored, advance))
    console.print(_table(f"{source.model} in {api.name} {api.version}", checks))
    target = settings.compute_capability or ("every GPU of 8.0 and newer" if not has_gpu else "")
    if not has_gpu:
        console.print(
            f"Parsed and built ahead of time for {target}. NOT RUN, for want of a GPU: outputs, "
            "AP, latency, and whether layers run in INT8."
        )
    elif scored is None:
        console.print("AP was not taken: name --data. Outputs are of random pictures.")
    documents = [{**asdict(check), "is_sound": check.is_sound} for check in checks]
    write_json(json, {"model": source.model, "ran": has_gpu, "version": api.version,
                      "flavor": api.flavor, "engines": documents})  # fmt: skip
    unsound = [check for check in checks if not check.is_sound]
    if unsound:
        told = ", ".join(f"{c.precision} by {c.difference:.3f}" for c in unsound)
        raise RunError(f"{source.model}: engines differ from ONNX Runtime: {told}; limits {LIMITS}")


def _scored(
    bundle: Bundle, data: Path | None, images: Path | None, annotations: Path | None
) -> Dataset:
    found = dataset(data, images, annotations, "val", bundle.class_names)
    require_boxes(found)
    return found


def _quantized(
    bundle: Bundle, data: Path | None, images: Path | None, annotations: Path | None
) -> Bundle:
    if bundle.precision is not None:
        return bundle
    if data is None and images is None and annotations is None:
        note(console, "not quantized: INT8 ranges are of random pictures, for this check alone")
        return with_ranges(bundle)
    found = dataset(data, images, annotations, "train", bundle.class_names)
    batches = list(input_batches(found, bundle.cfg, CALIBRATION_IMAGES))
    n_images = sum(map(len, batches))
    note(console, f"not quantized: INT8 ranges are of {n_images} pictures, for this check alone")
    return with_ranges(bundle, batches)


def _table(title: str, checks: list[EngineCheck]) -> Table:
    """A row an engine; a column that no engine has a number for is left out."""
    columns = {
        "": [check.precision for check in checks],
        "engine": [human(check.plan_bytes, "B") for check in checks],
        "built in": [f"{check.build_s:.1f} s" for check in checks],
        "difference": [_number(check.difference, ".4f") for check in checks],
        "AP, ONNX": [_number(check.onnx_ap, ".4f") for check in checks],
        "AP, engine": [_number(check.engine_ap, ".4f") for check in checks],
        "latency": [_number(check.latency_ms, ".2f", " ms") for check in checks],
        "convolutions": [
            ", ".join(f"{n} {kind}" for kind, n in (check.convolutions or {}).items())
            for check in checks
        ],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    table = Table(title=title)
    for column in shown:
        table.add_column(column, justify="right")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
