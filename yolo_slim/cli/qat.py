"""The training part of `quantize --qat`: one like any other, of a bundle with an INT8 plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, load_bundle
from yolo_slim.cli.options import console
from yolo_slim.cli.train_request import Request
from yolo_slim.cli.training import run_training
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.pipeline.quantize_options import NO_TEACHER, SELF, QatOptions
from yolo_slim.pipeline.quantizing import told_share
from yolo_slim.pipeline.teaching import Lessons

CALIBRATED, FLOAT = "calibrated", "float"
"""Bundles in the run's folder: what the training begins with, and the model that was quantized."""

DEFAULT_EPOCHS = 10
QAT = QatOptions()


def train_rounded(
    out: Path, pictures: dict[str, float | None], seed: int, resume: bool, epochs: int,
    lr: float | None, batch_size: int | None, ranges: str | None, teacher: str, labels: bool,
    data: Path | None, images: Path | None, annotations: Path | None,
) -> None:  # fmt: skip
    """Trains out/CALIBRATED into out/bundle. teacher: a model, 'self' or 'none'."""
    options: dict[str, Any] = {
        **pictures, "model": str(out / CALIBRATED), "out": out, "epochs": epochs, "data": data,
        "images": images, "annotations": annotations, "seed": seed, "resume": resume,
        "lr": QAT.lr if lr is None else lr, "batch_size": batch_size or QAT.batch_size,
        "weight_decay": 0.0, "precision": "float32", "ranges": ranges or QAT.ranges,
        "labels": labels or teacher == NO_TEACHER,
        "teacher": {SELF: str(out / FLOAT), NO_TEACHER: None}.get(teacher, teacher),
    }  # fmt: skip
    run_training(Request.of(options, Lessons(DistillSettings())))
    place = out / BUNDLE_IN_RUN
    console.print(f"{place}: {told_share(load_bundle(place))}")
