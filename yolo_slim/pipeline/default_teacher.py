"""Who teaches a training of a recipe that names nobody: what is left of a network learns from the
whole one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yolo_slim.errors import InputError
from yolo_slim.pipeline.quantize_options import NO_TEACHER
from yolo_slim.pipeline.recipe_steps import (
    FactorizeStep,
    PruneStep,
    RepeatStep,
    Step,
    TaughtOptions,
    TrainStep,
)


def with_teachers(steps: Sequence[Step], start: str | None) -> tuple[Step, ...]:
    """The steps, each training with its teacher by name, or None for nobody.

    After the first cut one that says nothing is taught by the last plain training before it, else
    by the last sparse one, else by `start`, the model that the recipe begins with if it is trained.
    Before it, and where it says NO_TEACHER, by nobody. Raises InputError for one that says how it
    is taught, and by nobody.
    """
    first = next((k for k, step in enumerate(steps) if _cuts(step)), len(steps))
    earlier = [step for step in steps[:first] if isinstance(step, TrainStep)]
    plain = [step for step in earlier if not step.sparsity]
    whole = (plain or earlier)[-1].name if earlier else start
    return tuple(_taught(step, None if k < first else whole) for k, step in enumerate(steps))


def _cuts(step: Step) -> bool:
    inner: Iterable[Step] = step.step if isinstance(step, RepeatStep) else (step,)
    return any(isinstance(single, PruneStep | FactorizeStep) for single in inner)


def _taught(step: Step, usual: str | None) -> Step:
    if isinstance(step, RepeatStep):
        inner = tuple(_taught(single, usual) for single in step.step)
        return step.model_copy(update={"step": inner})
    if not isinstance(step, TrainStep):
        return step
    named = usual if step.teacher is None else step.teacher
    teacher = None if named == NO_TEACHER else named
    idle = step.model_fields_set & (set(TaughtOptions.model_fields) - {"teacher"})
    if teacher is None and idle:
        raise InputError(f"step {step.name}: {min(idle)} means nothing without a teacher")
    return step.model_copy(update={"teacher": teacher})
