"""A backbone of one's own: a classifier trained on pictures in folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, infer_shapes
from yolo_slim.data.augment import Augmentation
from yolo_slim.data.describe import as_detection_set, pointing
from yolo_slim.data.folders import (
    LabelledSet,
    PictureFolders,
    collate_labelled,
    read_picture_folders,
)
from yolo_slim.errors import DataError, InputError
from yolo_slim.nn.decode import class_logits
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.pipeline.same_classes import require_same_answers
from yolo_slim.pipeline.teaching import FEATURES, N_MEASURED, Lessons, train_taught
from yolo_slim.train.guidance import Guidance
from yolo_slim.train.loop import train
from yolo_slim.train.settings import TrainSettings

BATCH = 32


def read_splits(data: Path) -> tuple[PictureFolders, PictureFolders | None]:
    """DATA/train and DATA/val, each with a folder a class; DATA itself where it has no 'train'.

    Raises DataError where the two do not have the same classes, or none; it names the data set for
    detectors that was found there instead.
    """
    try:
        if not (data / "train").is_dir():
            return read_picture_folders(data), None
        training, validation = (read_picture_folders(data / split) for split in ("train", "val"))
    except DataError:
        options = as_detection_set(data)
        if not options:
            raise
        raise DataError(
            f"{data} holds no folder for each class, as classifiers learn from; for a detector "
            f"name {options}"
        ) from None
    if training.class_names != validation.class_names:
        unlike = sorted(set(training.class_names) ^ set(validation.class_names))
        raise DataError(f"{data}: train and val do not have the same classes: {', '.join(unlike)}")
    return training, validation


def require_classifier(cfg: Cfg, model: str, data: Path) -> None:
    """Raises InputError for a detector: pictures in a folder a class have no boxes.

    model: what was typed, for the message.
    """
    if cfg.heads:
        raise InputError(
            f"{data} is a folder, as for classifiers; the detector {model} needs a .yaml or .data "
            f"description{pointing(data)}"
        )


def require_logits(cfg: Cfg, folders: PictureFolders) -> None:
    """Raises InputError unless `cfg` gives one number for each class."""
    shape, n_classes = infer_shapes(cfg)[-1], len(folders.class_names)
    if shape.values != n_classes:
        raise InputError(
            f"{cfg.source} gives {shape} values, {folders.source} has {n_classes} classes: they "
            "must be as many"
        )


def train_classifier(
    bundle: Bundle,
    training: PictureFolders,
    validation: PictureFolders | None,
    settings: TrainSettings,
    augmentation: Augmentation,
    out: Path,
    resume: bool = False,
    console: Console | None = None,
    teacher: Bundle | None = None,
    lessons: Lessons | None = None,
) -> Bundle:
    """The trained classifier; it is scored by its share of right first answers, top1.

    Raises InputError where it, or a teacher whose answers are learned, has other classes.
    """
    cfg = bundle.cfg
    lessons = lessons or Lessons()
    require_logits(cfg, training)
    if teacher is not None and lessons.losses.outputs:
        require_same_answers(teacher, training.class_names)
    bundle = replace(bundle, class_names=training.class_names)
    pictures = LabelledSet(
        training, cfg.input_hw, augmentation, channels=cfg.net.channels, seed=settings.seed
    )
    score = None if validation is None else top_scorer(cfg, validation)

    def fit(
        bundle: Bundle, settings: TrainSettings, guidance: Guidance | None, out: Path,
        features: bool,
    ) -> Bundle:  # fmt: skip
        return train(
            bundle, pictures, collate_labelled, settings, out, guidance=guidance,
            score=None if features else score, label=FEATURES if features else "train",
            resume=resume, console=console,
            told={
                "augmentation": str(augmentation), "data": fingerprint(training),
                "teacher": "none" if teacher is None else fingerprint(teacher),
            },
        )  # fmt: skip

    def shown(cfg: Cfg) -> Iterator[torch.Tensor]:
        calm = LabelledSet(training, cfg.input_hw, None, channels=cfg.net.channels)
        loader = DataLoader(calm, batch_size=BATCH, shuffle=True, collate_fn=collate_labelled,
                            generator=torch.Generator().manual_seed(settings.seed))  # fmt: skip
        for images, _ in islice(_batches(loader), math.ceil(N_MEASURED / BATCH)):
            yield images.float() / 255

    return train_taught(bundle, teacher, lessons, settings, shown, out, fit)


def top_scorer(cfg: Cfg, folders: PictureFolders) -> Callable[[nn.Module], dict[str, float]]:
    """A network -> the share of pictures whose class is its first answer, and among the first 5.

    The scorer raises DataError for a picture that cannot be read.
    """
    pictures = LabelledSet(folders, cfg.input_hw, None, channels=cfg.net.channels)
    loader = DataLoader(pictures, batch_size=BATCH, collate_fn=collate_labelled)

    def scorer(network: nn.Module) -> dict[str, float]:
        first = among_five = 0
        device = next(network.parameters()).device
        with torch.inference_mode():
            for images, class_ids in _batches(loader):
                answers = class_logits(network(images.to(device).float() / 255), cfg).cpu()
                best = answers.topk(min(5, answers.shape[1])).indices
                hits = best == class_ids[:, None]
                first += int(hits[:, 0].sum())
                among_five += int(hits.any(dim=1).sum())
        return {"top1": first / len(pictures), "top5": among_five / len(pictures)}

    return scorer


def _batches(loader: Iterable[Any]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What `collate_labelled` gives, each picture once: raises DataError for one that cannot be
    read, in whose place the next would count twice."""
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        images, class_ids, faults = batch
        if faults:
            raise DataError(faults[0])
        yield images, class_ids
