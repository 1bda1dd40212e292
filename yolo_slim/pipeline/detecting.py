"""The training of a detector, whoever asks for it: its teacher's lessons, scored on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.pipeline.scoring import input_batches, network_scorer
from yolo_slim.pipeline.sparsity_curve import ap_curve_on
from yolo_slim.pipeline.teaching import FEATURES, N_MEASURED, Lessons, train_taught
from yolo_slim.pipeline.training import calm_from
from yolo_slim.train.guidance import Guidance
from yolo_slim.train.loop import train
from yolo_slim.train.settings import TrainSettings


@dataclass(frozen=True)
class DetectorData:
    """What a detector learns from.

    labelled: images with boxes. pictures: those that features are learned from, with boxes or
    without. val: what AP is measured on; None measures none. items: makes the items of one of them.
    """

    labelled: Dataset
    pictures: Dataset
    val: Dataset | None
    items: Callable[[Dataset], TrainingSet]


def train_detector(
    bundle: Bundle,
    teacher: Bundle | None,
    lessons: Lessons,
    settings: TrainSettings,
    data: DetectorData,
    out: Path,
    *,
    label: str,
    resume: bool,
    console: Console,
    close_mosaic: int | None = None,
    told: Callable[[Dataset], dict[str, Any]] | None = None,
) -> Bundle:
    """The trained bundle; without a teacher it is plain training.

    close_mosaic: epochs at the end, of a stage of features alone as of any other, in which pictures
    are not mixed. told: of the data set of a stage, what a resumed one must have in common with the
    one that was begun; see train/loop.py.
    """

    def fit(
        bundle: Bundle, settings: TrainSettings, guidance: Guidance | None, out: Path,
        features: bool,
    ) -> Bundle:  # fmt: skip
        learned = data.pictures if features else data.labelled
        items = data.items(learned)
        items.calm_from = calm_from(settings.epochs, close_mosaic)
        return train(
            bundle, items, collate, settings, out, guidance=guidance,
            score=None if data.val is None or features else network_scorer(data.val),
            ap_curve=None if data.val is None else ap_curve_on(data.val),
            label=f"{label}: {FEATURES}" if features else label,
            resume=resume, console=console, told=None if told is None else told(learned),
        )  # fmt: skip

    def shown(cfg: Cfg) -> Iterator[Tensor]:
        return input_batches(data.pictures, cfg, N_MEASURED, settings.seed)

    return train_taught(bundle, teacher, lessons, settings, shown, out, fit)
