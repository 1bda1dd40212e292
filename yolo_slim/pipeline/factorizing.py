"""A factorize step: from what it says to the bundle of the factors, and what it came to as JSON."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from yolo_slim.bundle import Bundle
from yolo_slim.factorize.apply import Factorized, factorize
from yolo_slim.factorize.judge import Judge, require_float
from yolo_slim.factorize.moments import Calibration
from yolo_slim.factorize.plan import require_reachable
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe_steps import DEFAULT_ENERGY, FactorizeStep
from yolo_slim.pipeline.scoring import input_batches
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.prune.recalibrate import require_some


def run_factorize(bundle: Bundle, step: FactorizeStep, around: Surroundings) -> Factorized:
    """Does what the step says. Raises InputError for what cannot be, before it is done."""
    require_factorable(bundle, step)
    if step.recalibrate:
        bundle.require_batchnorm("recalibrate")
        require_some(len(around.some_to_recalibrate(step.recalibrate).samples), "recalibrate from")
    shown = _shown(bundle, step, around)
    judge = Judge(bundle, step.method, step.multiple, shown, step.heads, around.progress)
    if step.target_macs is not None:
        plan = judge.by_target(step.target_macs)
    else:
        plan = judge.by_energy(DEFAULT_ENERGY if step.energy is None else step.energy)
    if bundle.was_zeroed and plan.ranks:
        told = "zeros that prune has made are gone where a section was factored"
        plan = replace(plan, notes=(*plan.notes, told))
    done = factorize(judge, plan, around.progress)
    if step.recalibrate:
        done = replace(done, bundle=around.recalibrated(done.bundle, step.recalibrate))
    return done


def require_factorable(bundle: Bundle, step: FactorizeStep) -> None:
    """Raises InputError for what no weights could change: a target that no ranks reach, ranges of
    INT8 that are found already."""
    require_float(bundle)
    if step.target_macs is not None:
        require_reachable(bundle.cfg, step.target_macs, step.method, step.multiple, step.heads)


def factorize_document(done: Factorized, sizes: tuple[ModelSize, ModelSize]) -> dict[str, Any]:
    """Size before and after, and what becomes of each section with a kernel."""
    event = next(e for e in reversed(done.bundle.history) if e.verb == "factorize")
    return {
        "before": asdict(sizes[0]),
        "after": asdict(sizes[1]),
        **event.settings,
        "notes": list(done.plan.notes),
        "sections": [asdict(row) for row in done.rows],
    }


def _shown(bundle: Bundle, step: FactorizeStep, around: Surroundings) -> Calibration | None:
    """The images that factors are chosen on, where the step asks some."""
    if not step.n_images:
        return None
    some = around.some(step.n_images, "n_images")
    n_images = len(some.samples)
    require_some(n_images, "choose factors by")
    return Calibration(lambda: input_batches(some, bundle.cfg, n_images), n_images)
