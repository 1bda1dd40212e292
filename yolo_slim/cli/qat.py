"""The training part of `quantize --qat`: one like any other, of a bundle with an INT8 plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, load_bundle
from yolo_slim.cli.options import dataset
from yolo_slim.cli.train_request import Request
from yolo_slim.cli.training import coco_numbers_told, run_training
from yolo_slim.data.dataset import Dataset
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.other_classes import is_for
from yolo_slim.pipeline.quantize_options import NO_TEACHER, SELF, QatOptions
from yolo_slim.pipeline.quantizing import Quantized, quantize_document, require_teachable
from yolo_slim.pipeline.same_classes import numbered_as
from yolo_slim.pipeline.teaching import Lessons
from yolo_slim.pipeline.training import settings_of
from yolo_slim.pipeline.training_document import training_document
from yolo_slim.train.checkpoint import CHECKPOINT

CALIBRATED, FLOAT = "calibrated", "float"
"""Bundles in the run's folder: what the training begins with, and the model that was quantized."""

DEFAULT_EPOCHS = 10
QAT = QatOptions()


def begun(out: Path) -> bool:
    """Whether there is a training to go on with; a calibration alone is soon made again."""
    return (out / "checkpoints" / CHECKPOINT).exists()


def require_trainable(asked: Mapping[str, Any], bundle: Bundle, data: Dataset) -> None:
    """Raises InputError, before anything is calibrated, for what the training would refuse."""
    named = asked["teacher"] or SELF
    teacher = bundle if named == SELF else None
    if named not in (SELF, NO_TEACHER):
        teacher = load_model(ModelSource(named, size_px=asked["size"]))
    require_teachable(bundle, teacher)
    if not is_for(bundle, data.class_names):
        raise InputError(
            f"{data.source} does not have the classes of {bundle.cfg.source}, in their order: "
            "`yolo-slim train` brings the float model to others"
        )
    request = _request(asked)
    settings_of(bundle.cfg, request.settings, request.loss)
    if asked["data"] is not None:
        names = data.class_names
        numbered_as(dataset(asked["data"], None, None, "val"), data.source, names, len(names))


def train_rounded(asked: Mapping[str, Any]) -> Bundle:
    """Trains out/CALIBRATED into out/bundle. asked: option of `quantize` -> what was typed."""
    run_training(_request(asked))
    return load_bundle(asked["out"] / BUNDLE_IN_RUN)


def trained_document(
    asked: Mapping[str, Any], ready: Bundle, calibrated: Quantized | None
) -> dict[str, Any]:
    """For --json: of what was trained the plan and, with validation, the COCO numbers.

    ready: as it lies in the run's folder. calibrated: what it began with; None where that was kept
    from an earlier call, of which no warnings and measurements are left.
    """
    data = asked["data"]
    numbers = {} if data is None else coco_numbers_told(ready, dataset(data, None, None, "val"))
    begun_with = Quantized(ready) if calibrated is None else replace(calibrated, bundle=ready)
    # AP of the calibration is that of before the training.
    plan = quantize_document(replace(begun_with, ap=None))
    return plan | training_document(ready, asked["out"], numbers)


def _request(asked: Mapping[str, Any]) -> Request:
    out, typed = asked["out"], {name: value for name, value in asked.items() if value is not None}
    chosen = {name: value for name, value in typed.items() if name in QatOptions.model_fields}
    # Unchecked: TrainSettings says in the words of the options what cannot be.
    qat = QatOptions.model_construct(**{"epochs": DEFAULT_EPOCHS} | chosen)
    teacher = {SELF: str(out / FLOAT), NO_TEACHER: None}.get(qat.teacher, qat.teacher)
    options = {"mosaic": 0.0, "mixup": 0.0} | typed | qat.training() | {
        "model": str(out / CALIBRATED), "weights": None, "names": None, "teacher": teacher,
        "resume": asked["resume"] and begun(out), "json": None,
    }  # fmt: skip
    return Request.of(options, Lessons(DistillSettings()))
