"""The training part of `quantize --qat`: one like any other, of a bundle with an INT8 plan."""

from __future__ import annotations

from collections.abc import Mapping
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
from yolo_slim.train.checkpoint import CHECKPOINT

CALIBRATED, FLOAT = "calibrated", "float"
"""Bundles in the run's folder: what the training begins with, and the model that was quantized."""

DEFAULT_EPOCHS = 10
QAT = QatOptions()


def begun(out: Path) -> bool:
    """Whether there is a training to go on with; a calibration alone is soon made again."""
    return (out / "checkpoints" / CHECKPOINT).exists()


def train_rounded(asked: Mapping[str, Any]) -> None:
    """Trains out/CALIBRATED into out/bundle. asked: option of `quantize` -> what was typed."""
    out, teacher = asked["out"], asked["teacher"] or SELF
    usual = {
        "epochs": DEFAULT_EPOCHS, "lr": QAT.lr, "batch_size": QAT.batch_size, "ranges": QAT.ranges,
        "mosaic": 0.0,
    }  # fmt: skip
    chosen = {name: value for name, value in asked.items() if value is not None}
    options = usual | chosen | {
        "model": str(out / CALIBRATED), "weights": None, "names": None,
        "weight_decay": 0.0, "precision": "float32", "resume": asked["resume"] and begun(out),
        "labels": asked["labels"] or teacher == NO_TEACHER,
        "teacher": {SELF: str(out / FLOAT), NO_TEACHER: None}.get(teacher, teacher),
    }  # fmt: skip
    run_training(Request.of(options, Lessons(DistillSettings())))
    place = out / BUNDLE_IN_RUN
    console.print(f"{place}: {told_share(load_bundle(place))}")
