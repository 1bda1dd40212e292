"""yolo-slim quantize"""

from __future__ import annotations

from typing import Annotated

import typer

from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    Model,
    OutFolder,
    Seed,
    WeightsFile,
    console,
    dataset,
    progress,
    tell_notes,
)
from yolo_slim.cli.targets import check_bundle, save_bundle
from yolo_slim.console import warn
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.scoring import input_batches
from yolo_slim.quantize.calibrate import quantize as quantize_bundle


def quantize(
    model: Model,
    out: OutFolder,
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    weights: WeightsFile = None,
    n_images: Annotated[int, typer.Option(min=1, help="Images to calibrate on.")] = 200,
    seed: Seed = 0,
) -> None:
    """Find INT8 ranges on training images; export_onnx --int8 then writes an integer graph."""
    source = ModelSource(model, weights)
    check_bundle(out, source.files)
    bundle = load_model(source)
    tell_notes(bundle.cfg)
    train_data = dataset(data, images, annotations, "train", bundle.class_names)
    count = min(n_images, len(train_data.samples))
    if count < 16:
        warn(console, f"{count} images are few to find ranges on")
    batches = input_batches(train_data, bundle.cfg, count, seed)
    with progress("calibrate") as advance:
        quantized = quantize_bundle(bundle, batches, lambda done: advance(done, count))
    save_bundle(quantized, out)
    assert quantized.precision is not None
    console.print(
        f"{out}: {len(quantized.precision.convs)} convolutions in INT8, ranges from {count} images"
    )
