"""A compression as a document: a model, data, and the steps that are done to it, in TOML."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from yolo_slim.cfg import Cfg
from yolo_slim.data.augment import Augmentation
from yolo_slim.errors import InputError
from yolo_slim.pipeline.quantize_options import NO_TEACHER, SELF
from yolo_slim.pipeline.recipe_steps import (
    Arm,
    ExportStep,
    FactorizeStep,
    PruneStep,
    QuantizeStep,
    RepeatStep,
    SharedTraining,
    SingleStep,
    Step,
    Strict,
    TrainStep,
)
from yolo_slim.pipeline.training import augmentation_of, require_calm
from yolo_slim.train.settings import MAX_SEED

START = "model"
"""The name by which a step may refer to the model that the recipe starts from."""


class ModelSpec(Strict):
    """Where to start: a zoo name, a cfg with or without weights, or a bundle folder.

    anchors: 'fit' finds them in the training boxes, 'keep' leaves those of the cfg.
    iou_thresh: anchors that overlap an object's shape by more look for it too.
    scale_x_y: how far boxes reach over the border of their cell; for a zoo name alone.
    """

    zoo: str | None = None
    cfg: Path | None = None
    weights: Path | None = None
    bundle: Path | None = None
    size: Annotated[int, Field(ge=32, le=8192)] | None = None
    anchors: Literal["fit", "keep"] = "keep"
    iou_thresh: Annotated[float, Field(gt=0, le=1)] | None = None
    scale_x_y: Annotated[float, Field(ge=1, le=4)] | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether its weights are random."""
        return self.zoo is not None or (self.cfg is not None and self.weights is None)

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if sum(x is not None for x in (self.zoo, self.cfg, self.bundle)) != 1:
            raise ValueError("name exactly one of zoo, cfg, bundle")
        if self.weights is not None and self.cfg is None:
            raise ValueError("weights belong to a cfg: name it with cfg = ...")
        if self.scale_x_y is not None and self.zoo is None:
            raise ValueError("scale_x_y is for a zoo name: a trained network has its own")
        return self


class SplitSpec(Strict):
    images: Path
    annotations: Path


class DataSpec(Strict):
    """The built-in digits, a description file, or a pair of folders and annotations.

    unlabelled: a folder of further pictures, from which features are learned.
    """

    digits: bool = False
    description: Path | None = None
    train: SplitSpec | None = None
    val: SplitSpec | None = None
    unlabelled: Path | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        pair = self.train is not None and self.val is not None
        if (self.train is None) != (self.val is None):
            raise ValueError("train and val go together")
        if sum((self.digits, self.description is not None, pair)) != 1:
            raise ValueError("name exactly one of digits = true, description, train with val")
        return self


Scale = Annotated[float, Field(gt=0, le=10)]
Probability = Annotated[float, Field(ge=0, le=1)]


class AugmentSpec(Strict):
    """Probabilities 0..1, and the ranges they apply to; see data/augment.py. What is not said is as
    the cfg says, else as usual."""

    mosaic: Probability | None = None
    mixup: Probability | None = None
    copy_paste: Probability | None = None
    flip: Probability | None = None
    affine: Probability | None = None
    colour: Probability | None = None
    scale: tuple[Scale, Scale] | None = None
    shift: Annotated[float, Field(ge=0, le=0.9)] | None = None

    @model_validator(mode="after")
    def _scale_rises(self) -> AugmentSpec:
        if self.scale is not None and self.scale[0] > self.scale[1]:
            raise ValueError(f"scale {list(self.scale)}: expected the smaller number first")
        return self

    def options(self, cfg: Cfg) -> Augmentation:
        """Of the pictures that a network of `cfg` learns from."""
        plain = {"scale": self.scale, "shift": self.shift}
        probabilities = self.model_dump(exclude=set(plain))
        return augmentation_of(cfg, plain | {f"{k}_p": v for k, v in probabilities.items()})


class CompareSpec(Strict):
    """Trainings that differ in how they are taught alone, each with each seed: what `compare` runs
    after the steps. The first arm is what the others are compared with.

    student: where each starts, its weights drawn with the seed; without it, what the steps end in.
    """

    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...], Field(min_length=1, max_length=99)
    ]
    student: ModelSpec | None = None
    train: SharedTraining
    arm: Annotated[tuple[Arm, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _arms_differ(self) -> CompareSpec:
        for what, values in (("seed", self.seeds), ("arm", [arm.name for arm in self.arm])):
            if len(set(values)) < len(values):
                raise ValueError(f"{what}s must differ, found {list(values)}")
        for arm in self.arm:
            step = self.step(arm)
            try:
                step.lessons()
                require_calm(step.epochs, step.close_mosaic)
            except InputError as error:
                raise ValueError(f"arm {arm.name}: {error}") from None
            idle = arm.model_fields_set - {"name", "epochs", "teacher"}
            if step.teacher is None and idle:
                raise ValueError(f"arm {arm.name}: {min(idle)} means nothing without a teacher")
        if all(self.step(arm).teacher for arm in self.arm):
            raise ValueError(
                "no arm is without a teacher, and without one no gain is any: add one with teacher "
                f"= {NO_TEACHER!r}"
            )
        return self

    def step(self, arm: Arm) -> TrainStep:
        """The training of an arm, taught by nobody unless it says by whom."""
        step = self.train.model_copy(update=arm.model_dump(exclude_unset=True))
        return step.model_copy(update={"teacher": None}) if step.teacher == NO_TEACHER else step


class Recipe(Strict):
    """Everything that `compress` and `compare` need. Paths are relative to the recipe's folder."""

    title: str
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    model: ModelSpec
    data: DataSpec
    augment: AugmentSpec = AugmentSpec()
    step: Annotated[tuple[Step, ...], Field(min_length=1)]
    compare: CompareSpec | None = None

    def single_steps(self) -> list[SingleStep]:
        """All of them, those of a repeat once."""
        parts = (s.step if isinstance(s, RepeatStep) else (s,) for s in self.step)
        return [single for part in parts for single in part]

    @property
    def reaches_neighbours(self) -> bool:
        """Whether the model is trained with the cells beside an object's."""
        trainings = [step for step in self.single_steps() if isinstance(step, TrainStep)]
        if self.compare is not None and self.compare.student is None:
            trainings.append(self.compare.train)
        return any(step.cells == "neighbours" for step in trainings)

    def _learns_features(self) -> bool:
        arms = () if self.compare is None else map(self.compare.step, self.compare.arm)
        trainings = (step for step in (*self.single_steps(), *arms) if isinstance(step, TrainStep))
        return any("overhaul" in step.loss for step in trainings)

    @model_validator(mode="after")
    def _steps_fit(self) -> Recipe:
        earlier, teachers = [START], [START]
        folded = quantized = False
        for number, step in enumerate(self.step, start=1):
            where = f"step {number} ({step.name})"
            for name in (step.name, *(step.names() if isinstance(step, RepeatStep) else ())):
                if name in earlier:
                    raise ValueError(f"{where}: the name {name} is taken; names must differ")
                earlier.append(name)
            if isinstance(step, QuantizeStep) and quantized:
                raise ValueError(f"{where}: an earlier step has quantized the bundle already")
            if isinstance(step, TrainStep | PruneStep | RepeatStep) and folded:
                raise ValueError(f"{where}: {step.verb} needs BatchNorm, which quantize has folded")
            if isinstance(step, FactorizeStep) and quantized:
                raise ValueError(f"{where}: factorize changes what quantize measures: put it first")
            for single in step.step if isinstance(step, RepeatStep) else (step,):
                _require_known_teacher(single, where, teachers)
            if isinstance(step, QuantizeStep):
                folded = quantized = True
            if isinstance(step, ExportStep) and step.int8 and not quantized:
                raise ValueError(f"{where}: int8 = {step.int8!r} needs a quantize step before it")
            if not isinstance(step, RepeatStep):  # whose rounds have names of their own
                teachers.append(step.name)
        if self.data.unlabelled is not None and not self._learns_features():
            raise ValueError(
                "data.unlabelled is for features, and no training has overhaul in its loss: leave "
                "it out"
            )
        if self.compare is None:
            return self
        for arm in self.compare.arm:
            _require_known_teacher(self.compare.step(arm), f"arm {arm.name}", teachers)
        if self.compare.student is None and folded:
            raise ValueError("compare: the steps end in a bundle without BatchNorm; name a student")
        return self


def _require_known_teacher(step: SingleStep, where: str, earlier: list[str]) -> None:
    known: list[str | None] = [None, NO_TEACHER, *earlier]
    if isinstance(step, QuantizeStep):
        known.append(SELF)
    if isinstance(step, TrainStep | QuantizeStep) and step.teacher not in known:
        near = difflib.get_close_matches(str(step.teacher), earlier, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{where}: teacher {step.teacher!r} is no earlier step{hint}")
