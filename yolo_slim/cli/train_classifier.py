"""`train` of a classifier: what of its options means something there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolo_slim.bundle import Bundle
from yolo_slim.cli.options import console, tell_notes, with_backbone
from yolo_slim.errors import InputError
from yolo_slim.pipeline.classifying import (
    read_splits,
    require_classifier,
    top_scorer,
    train_classifier,
)
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.teaching import Lessons, require_cacheable
from yolo_slim.pipeline.training import augmentation_of, settings_of
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import network_of


def train_labelled(
    source: ModelSource,
    backbone_weights: str | None,
    data: Path,
    typed: dict[str, Any],
    loss: dict[str, Any],
    pictures: dict[str, Any],
    out: Path,
    resume: bool,
    teacher: Bundle | None = None,
    lessons: Lessons | None = None,
) -> Bundle:
    """Trains on a folder of labelled pictures. typed, loss, pictures: fields of TrainSettings,
    LossSettings and Augmentation as they were typed, None where they were not."""
    training, validation = read_splits(data)
    bundle = load_model(source, untrained=True, classes=len(training.class_names))
    require_classifier(bundle.cfg, source.model, data)
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    settings: TrainSettings = settings_of(bundle.cfg, typed, loss)
    augmentation = augmentation_of(bundle.cfg, pictures).calm()
    if lessons is not None and lessons.cached:
        require_cacheable(augmentation, settings, detects=False)
    return train_classifier(
        bundle,
        training,
        validation,
        settings,
        augmentation,
        out,
        resume,
        console,
        teacher,
        lessons,
    )


def top_numbers_told(trained: Bundle, data: Path) -> dict[str, float]:
    """For --json: pictures and shares of right answers as `evaluate` tells them; nothing where
    `data` has no pictures to validate on."""
    _, validation = read_splits(data)
    if validation is None:
        return {}
    network = network_of(trained.cfg, trained.weights, trained.precision)
    return {"images": len(validation.paths), **top_scorer(trained.cfg, validation)(network)}


def refuse_for_classifiers(**options: Any) -> None:
    """Raises InputError for an option that means nothing where there are no boxes."""
    for name, value in options.items():
        if value is not None:
            raise InputError(
                f"--{name.replace('_', '-')} is for detectors: a classifier learns from pictures "
                "and their labels alone"
            )
