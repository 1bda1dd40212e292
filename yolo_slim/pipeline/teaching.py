"""A training with a teacher: its features and answers beside the labels, or before them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.data.augment import Augmentation
from yolo_slim.distill.distiller import Distiller, require_used_temperature
from yolo_slim.distill.margin import MIN_IMAGES
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.errors import InputError
from yolo_slim.pipeline.fingerprint import fingerprint
from yolo_slim.train.guidance import Guidance
from yolo_slim.train.settings import TrainSettings

FEATURES = "features"
"""Folder, within that of the run, of the first stage of the method 'separate'."""

ANSWERS = "cache/teacher"
"""Folder, within that of a run, of a teacher's answers."""

N_MEASURED = 2 * MIN_IMAGES
"""Training images that a margin is measured on, where no BatchNorm tells it."""

Method = Literal["together", "separate"]

Images = Callable[[Cfg], Iterable[Tensor]]
"""The cfg of a teacher -> N_MEASURED training images as it takes them, in batches."""


@dataclass(frozen=True)
class Lessons:
    """What a teacher teaches, and in which order.

    method: 'together', all in one training; 'separate', first the features alone for
    `feature_epochs`, for which no labels are needed, then the labels, with the features at the
    weight `keep_features` and all other losses. cached: the teacher's answers are kept on disk.
    """

    losses: DistillSettings = field(default_factory=DistillSettings)
    method: Method = "together"
    feature_epochs: int = 0
    keep_features: float = 0.0
    cached: bool = False

    def __post_init__(self) -> None:
        if self.method == "together":
            for option, value in (
                ("--feature-epochs", self.feature_epochs), ("--keep-features", self.keep_features),
            ):  # fmt: skip
                if value:
                    raise InputError(f"{option} {value:g} is for --method separate: leave it out")
            return
        if not self.losses.overhaul:
            raise InputError("--method separate begins with features: name overhaul in --loss")
        if self.feature_epochs < 1:
            raise InputError(
                f"--feature-epochs {self.feature_epochs}: --method separate needs 1 or more"
            )
        if not 0 <= self.keep_features < 1e6:
            raise InputError(f"--keep-features {self.keep_features:g}: expected 0 to below 1e6")


class Fit(Protocol):
    """One training: the bundle that comes of it. `features`: it is that of features alone."""

    def __call__(
        self, bundle: Bundle, settings: TrainSettings, guidance: Guidance | None, out: Path,
        features: bool,
    ) -> Bundle: ...  # fmt: skip


def train_taught(
    bundle: Bundle,
    teacher: Bundle | None,
    lessons: Lessons,
    settings: TrainSettings,
    images: Images,
    out: Path,
    fit: Fit,
) -> Bundle:
    """Trains, by `fit`, as the lessons say; without a teacher it is plain training.

    images: training images as the teacher takes them, for margins that have to be measured. The
    first stage of 'separate' lies in out/FEATURES; resumed after its end, it is not trained again.
    """
    if teacher is None:
        return fit(bundle, settings, None, out, False)

    def make(losses: DistillSettings, folder: Path) -> Distiller:
        answers = folder / ANSWERS / fingerprint(teacher) if lessons.cached else None
        return Distiller(
            teacher, bundle.cfg, losses, settings.batch_size, partial(images, teacher.cfg),
            settings.seed, answers,
        )  # fmt: skip

    if lessons.method == "together":
        return fit(bundle, settings, make(lessons.losses, out), out, False)
    require_used_temperature(bundle.cfg, lessons.losses)
    overhaul, others = _parted(lessons)
    first = out / FEATURES
    alone = replace(
        settings, epochs=lessons.feature_epochs, labels=False, validations=0, sparsity=0.0,
        sparse=type(settings.sparse)(),
    )  # fmt: skip
    then = None if others is None else make(others, out)  # before an hour of features, not after
    student = fit(bundle, alone, make(overhaul, first), first, True)
    return fit(student, settings, then, out, False)


def require_cacheable(
    augmentation: Augmentation, settings: TrainSettings, detects: bool = True
) -> None:
    """Raises InputError where a picture does not come again as it was."""
    if augmentation.changes or settings.multi_scale != 1:
        options = "--flip 0 --affine 0 --colour 0"
        if detects:
            options = f"--mosaic 0 --mixup 0 --copy-paste 0 {options} --multi-scale 1"
        raise InputError(
            "--cache-teacher keeps answers to pictures that come again exactly: turn off what "
            f"changes them with {options}"
        )


def _parted(lessons: Lessons) -> tuple[DistillSettings, DistillSettings | None]:
    """What is learned first, and what beside the labels; None for nothing."""
    losses = lessons.losses
    # There are no answers in it that a temperature could soften.
    first = replace(
        losses, losses=(("overhaul", losses.overhaul),), temperature=DistillSettings.temperature
    )
    rest = [pair for pair in losses.losses if pair[0] != "overhaul"]
    if lessons.keep_features:
        rest.append(("overhaul", lessons.keep_features))
    return first, replace(losses, losses=tuple(rest)) if rest else None
