"""What of a recipe cannot be done, told before its first step: hours of training come before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from yolo_slim.cfg import Cfg
from yolo_slim.distill.distiller import require_measurable
from yolo_slim.errors import InputError
from yolo_slim.pipeline.factorizing import require_factorable
from yolo_slim.pipeline.prune_effects import Wish, require_effects
from yolo_slim.pipeline.prune_step import require_possible
from yolo_slim.pipeline.quantize_options import SELF
from yolo_slim.pipeline.quantizing import require_teachable
from yolo_slim.pipeline.recipe import START, Recipe
from yolo_slim.pipeline.recipe_steps import (
    FactorizeStep,
    PruneStep,
    QuantizeStep,
    RepeatStep,
    SingleStep,
    TrainStep,
)
from yolo_slim.pipeline.runtimes import find_runtime
from yolo_slim.pipeline.start import Start
from yolo_slim.pipeline.teaching import N_MEASURED
from yolo_slim.prune.recalibrate import require_some


def require_doable(recipe: Recipe, start: Start) -> None:
    """Raises InputError for a step that cannot be done, as far as the start tells: of a network
    that is cut twice only the first cut, and its teachers as they are before it."""
    _require_trained_before_use(recipe, start)
    if start.bundle.precision is not None:
        raise InputError(
            f"{start.bundle.cfg.source} has an INT8 plan already: start from the float bundle that "
            "it was made of"
        )
    uncut = True
    for number, step in enumerate(recipe.step, start=1):
        for single in step.step if isinstance(step, RepeatStep) else (step,):
            with naming(f"step {number} ({single.name})"):
                _require_doable(single, start, uncut)
            uncut = uncut and not isinstance(single, PruneStep | FactorizeStep)


def require_training(step: TrainStep, start: Start, student: Cfg) -> None:
    """Raises InputError where the student's cfg asks for what no training does, and where a teacher
    with the cfg of the start cannot teach it what the step says, or has too few pictures for it."""
    step.settings(seed=0, workers=0, cfg=student)
    if step.teacher is not None:
        n_images = min(N_MEASURED, len(start.pictures.samples))
        require_measurable(start.bundle, student, step.lessons().losses, n_images)


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Faults say in which part of the recipe they lie."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{part}: {error}") from None


def _require_trained_before_use(recipe: Recipe, start: Start) -> None:
    if start.trained:
        return
    first = recipe.step[0]
    if not isinstance(first, TrainStep):
        raise InputError(
            f"step 1 ({first.name}) is {first.verb}, but the model's weights are random, or of "
            "other classes or anchors: train it first, or name weights under [model]"
        )
    for step in recipe.single_steps():
        if getattr(step, "teacher", None) == START:
            raise InputError(
                f"step {step.name}: the model was never trained for these classes and anchors; "
                "name a step as teacher"
            )


def _require_doable(step: SingleStep, start: Start, uncut: bool) -> None:
    """uncut: the network is that of the start, whatever its weights are by now."""
    if isinstance(step, TrainStep):
        require_training(step, start, start.bundle.cfg)
    if isinstance(step, QuantizeStep) and step.epochs:
        require_teachable(start.bundle, start.bundle if step.teacher == SELF else None)
    if isinstance(step, PruneStep):
        require_effects(Wish(step, frozenset(step.model_fields_set)))
    if isinstance(step, PruneStep) and step.target_latency_ms is not None:
        find_runtime(step.runtime).require_installed()
    if isinstance(step, PruneStep | FactorizeStep) and step.recalibrate:
        n_images = min(step.recalibrate, len(start.train_data.samples))
        require_some(n_images, "recalibrate from")
    if uncut and isinstance(step, PruneStep):
        require_possible(start.bundle, step)
    if uncut and isinstance(step, FactorizeStep):
        require_factorable(start.bundle, step)
