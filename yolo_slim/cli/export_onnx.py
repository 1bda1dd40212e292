"""yolo-slim export_onnx"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo_slim.cli.options import Model, NamesFile, Size, WeightsFile, console, tell_notes
from yolo_slim.cli.targets import check_file
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx as export_bundle
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.report.table import human


def export_onnx(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    int8: Annotated[
        Literal["tensorrt", "cpu"] | None,
        typer.Option("--int8", help="Q/DQ for TensorRT, or for ONNX Runtime's integer kernels."),
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Any number of images at a time.")
    ] = False,
) -> None:
    """Write a bundle as ONNX: raw head maps out, cfg and class names in the metadata."""
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: expected the name of a file that ends in .onnx")
    source = ModelSource(model, weights, names, size)
    check_file(out, source.files)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    export_bundle(bundle, out, int8, dynamic_batch)
    console.print(
        f"{out}: {human(out.stat().st_size, 'B')}, input {bundle.cfg.net.width}x"
        f"{bundle.cfg.net.height}, {'INT8 for ' + int8 if int8 else 'float32'}"
    )
