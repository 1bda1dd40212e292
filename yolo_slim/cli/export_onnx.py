"""yolo-slim export_onnx"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from onnx import ValueInfoProto

from yolo_slim.cfg import Cfg
from yolo_slim.cli.options import (
    JsonFile,
    Model,
    NamesFile,
    Size,
    WeightsFile,
    console,
    tell_notes,
    write_json,
)
from yolo_slim.cli.targets import check_file
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import Profile
from yolo_slim.export.onnx_model import export_onnx as export_bundle
from yolo_slim.export.suppression import MAX_CANDIDATES
from yolo_slim.metadata import Answer
from yolo_slim.nn.suppress import Suppression
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.report.table import human

_GIVES = {"raw": "raw maps", "boxes": "boxes and scores", "detections": "detections"}


def export_onnx(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    int8: Annotated[
        Profile | None,
        typer.Option(
            "--int8",
            help="Q/DQ for TensorRT, or for ONNX Runtime's integer kernels: on any CPU, or more "
            "exact on those with VNNI, and on ARM.",
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="FP16 up to the heads, for TensorRT; also with --int8.")
    ] = False,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Any number of images at a time.")
    ] = False,
    output: Annotated[
        Literal["raw", "boxes"] | None,
        typer.Option(
            "--output",
            help="The heads' raw maps (which is the default), or boxes and scores of all places.",
        ),
    ] = None,
    nms: Annotated[
        bool,
        typer.Option("--nms", help="Suppress in the graph, too: rows of image, box, score, class."),
    ] = False,
    conf: Annotated[
        float | None,
        typer.Option("--conf", min=0, max=1, help="Of --nms: least score; else 0.005."),
    ] = None,
    nms_iou: Annotated[
        float | None,
        typer.Option(
            "--nms-iou", min=0, max=1, help="Of --nms: IoU above which boxes compete; else 0.45."
        ),
    ] = None,
    max_detections: Annotated[
        int | None,
        typer.Option(
            "--max-detections", min=1, max=MAX_CANDIDATES, help="Of --nms: of an image; else 300."
        ),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Write a bundle as ONNX, with all that a program needs to run it in the metadata."""
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: expected the name of a file that ends in .onnx")
    if nms and output is not None:
        raise InputError(
            f"--nms gives detections, --output {output} {_GIVES[output]}: leave one out"
        )
    suppression = _suppression(nms, conf, nms_iou, max_detections)
    source = ModelSource(model, weights, names, size)
    check_file(out, source.files)
    check_file(json, [*source.files, out], only_json=True)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    answer: Answer = "detections" if nms else output or "raw"
    graph = export_bundle(bundle, out, int8, dynamic_batch, answer, suppression, half).graph
    if suppression is not None:
        _tell_kind(bundle.cfg)
    floats = "FP16" if half else "float32"
    numbers = f"INT8 for {int8}, else {floats}" if int8 else floats
    console.print(
        f"{out}: {human(out.stat().st_size, 'B')}, input {bundle.cfg.net.width}x"
        f"{bundle.cfg.net.height}, {numbers}, gives {_GIVES[answer]}"
    )
    write_json(json, {
        "file": str(out), "file_bytes": out.stat().st_size, **ModelSize.of(bundle).known(),
        "int8": int8, "half": half, "gives": answer,
        "inputs": _told(graph.input), "outputs": _told(graph.output),
    })  # fmt: skip


def _told(tensors: Sequence[ValueInfoProto]) -> list[dict[str, Any]]:
    """Names and shapes; a side of no fixed length has a name."""
    return [
        {
            "name": tensor.name,
            "shape": [
                side.dim_param or side.dim_value for side in tensor.type.tensor_type.shape.dim
            ],
        }
        for tensor in tensors
    ]


def _suppression(
    nms: bool, conf: float | None, nms_iou: float | None, max_detections: int | None
) -> Suppression | None:
    """What --nms and its options say. Raises InputError for the options alone."""
    said = {"conf": conf, "nms-iou": nms_iou, "max-detections": max_detections}
    options = [f"--{name}" for name, value in said.items() if value is not None]
    if not nms:
        if options:
            raise InputError(f"{', '.join(options)} without --nms: add --nms, or leave it out")
        return None
    usual = Suppression()
    return Suppression(
        usual.conf if conf is None else conf,
        usual.nms_iou if nms_iou is None else nms_iou,
        max_detections or usual.max_detections,
    )


def _tell_kind(cfg: Cfg) -> None:
    """That the cfg asks for what ONNX does not have."""
    if (kind := cfg.heads[-1].nms_kind) == "diounms":
        note(
            console,
            f"{cfg.source} says nms_kind={kind}: in the graph IoU alone decides, as ONNX has it; "
            "with --output boxes the program can do better",
        )
