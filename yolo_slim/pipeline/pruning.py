"""From a prune step to a pruned bundle."""

from __future__ import annotations

from yolo_slim.bundle import Bundle
from yolo_slim.pipeline.recipe import PruneStep
from yolo_slim.prune.cut import absorb, take
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_energy, plan_ratio, plan_target
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import Scoring


def make_plan(bundle: Bundle, step: PruneStep) -> Plan:
    """The plan that a prune step asks for."""
    scoring = Scoring(step.importance, step.reduce, step.normalize, step.which, step.seed)
    limits = Limits(step.layer_keep, step.multiple, step.rounding)
    if step.ratio is not None:
        return plan_ratio(bundle, step.ratio, scoring, limits)
    if step.energy is not None:
        return plan_energy(bundle, step.energy, scoring, limits)
    if step.target_macs is not None:
        return plan_target(bundle, step.target_macs, "macs", scoring, limits)
    assert step.target_params is not None
    return plan_target(bundle, step.target_params, "parameters", scoring, limits)


def prune_bundle(bundle: Bundle, plan: Plan, with_absorb: bool) -> Bundle:
    """Absorbs, if asked to, and cuts."""
    return take(absorb(bundle, plan) if with_absorb else bundle, plan)
