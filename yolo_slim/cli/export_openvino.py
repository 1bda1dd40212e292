"""yolo-slim export_openvino"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    Model,
    NamesFile,
    Seed,
    Size,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
    write_json,
)
from yolo_slim.cli.step_words import as_option, typed_of
from yolo_slim.cli.targets import check_file
from yolo_slim.console import warn
from yolo_slim.errors import InputError
from yolo_slim.export.nncf import Calibration
from yolo_slim.export.onnx_model import cpu_profile
from yolo_slim.export.openvino_model import export_openvino as export_bundle
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.scoring import input_batches
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.quantize.plan import int8_convs
from yolo_slim.report.table import human


def export_openvino(
    context: typer.Context,
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="The .xml file to write, a .bin beside it.")],
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Find INT8 ranges with NNCF, on --data.")
    ] = False,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    n_images: Annotated[int, typer.Option(min=1, help="Images to calibrate on.")] = 200,
    seed: Seed = 0,
    json: JsonFile = None,
) -> None:
    """Write a bundle for OpenVINO: raw head maps out, cfg and class names inside.

    Of a quantized bundle the INT8 plan is kept; of a float one --int8 makes one with NNCF.
    """
    if out.suffix != ".xml":
        raise InputError(f"--out {out}: expected the name of a file that ends in .xml")
    if not int8 and (data or images or annotations):
        raise InputError("--data is what --int8 calibrates on: give both, or neither")
    for option in ("n_images", "seed"):
        if option in typed_of(context) and not int8:
            raise InputError(f"{as_option(option)} does nothing without --int8")
    source = ModelSource(model, weights, names, size)
    read = [*source.files, data, images, annotations]
    check_file(out, read)
    check_file(out.with_suffix(".bin"), read)
    check_file(json, [*read, out, out.with_suffix(".bin")], only_json=True)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    if not int8:
        made = export_bundle(bundle, out)
        found_by = "quantize" if cpu_profile(bundle) else None
        kind = "the bundle's INT8" if found_by else "float32"
    else:
        train_data = dataset(data, images, annotations, "train", bundle.class_names)
        count = min(n_images, len(train_data.samples))
        if count < 16:
            warn(console, f"{count} images are few to find ranges on")
        convs = int8_convs(bundle.cfg)
        with progress("calibrate") as advance:
            calibration = Calibration(
                lambda: (
                    image[None].numpy()
                    for batch in input_batches(train_data, bundle.cfg, count, seed)
                    for image in batch
                ),
                count,
                convs,
                lambda done: advance(done, count),
            )
            made = export_bundle(bundle, out, calibration)
        found_by = "nncf"
        kind = f"{len(convs)} convolutions in INT8, ranges from {count} images"
    n_bytes = sum(path.stat().st_size for path in (out, out.with_suffix(".bin")))
    console.print(
        f"{out}: {human(n_bytes, 'B')} with its .bin, input {bundle.cfg.net.width}x"
        f"{bundle.cfg.net.height}, {kind}"
    )
    write_json(json, {
        "file": str(out), "file_bytes": n_bytes, **ModelSize.of(bundle).known(), "int8": found_by,
        "inputs": _told(made.inputs), "outputs": _told(made.outputs),
    })  # fmt: skip


def _told(ports: Sequence[Any]) -> list[dict[str, Any]]:
    """Names and shapes."""
    return [{"name": port.any_name, "shape": list(port.shape)} for port in ports]
