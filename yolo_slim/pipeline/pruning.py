"""From a prune step to a pruned bundle."""

from __future__ import annotations

from yolo_slim.bundle import Bundle
from yolo_slim.pipeline.recipe import PruneStep
from yolo_slim.prune.cut import absorb, take
from yolo_slim.prune.plan import Plan, plan_ratio, plan_target


def make_plan(bundle: Bundle, step: PruneStep) -> Plan:
    """The plan that a prune step asks for."""
    how = (step.layer_keep, step.multiple, step.score, step.normalize)
    if step.ratio is not None:
        return plan_ratio(bundle, step.ratio, *how)
    if step.target_macs is not None:
        return plan_target(bundle, step.target_macs, "macs", *how)
    assert step.target_params is not None
    return plan_target(bundle, step.target_params, "parameters", *how)


def prune_bundle(bundle: Bundle, plan: Plan, with_absorb: bool) -> Bundle:
    """Absorbs, if asked to, and cuts."""
    return take(absorb(bundle, plan) if with_absorb else bundle, plan)
