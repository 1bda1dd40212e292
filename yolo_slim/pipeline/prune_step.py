"""A whole prune step: layers, then channels or zeros, or the other way round."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Block, Cfg, Conv, totals
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.pipeline.prune_options import Dense, placements
from yolo_slim.pipeline.pruning import make_plan, prune_bundle
from yolo_slim.pipeline.recipe import PruneStep
from yolo_slim.pipeline.scoring import input_batches, require_boxes, require_classes, score
from yolo_slim.prune.layer_rank import drop_one, gamma, similarity
from yolo_slim.prune.layers import LayerPlan, Rank, Scores, count_layers, plan_layers, take_layers
from yolo_slim.prune.masks import KernelZeros, kernel_zeros, zero_weights
from yolo_slim.prune.plan import Plan
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.weights import network_of

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""A bar with that text, giving advance(done, total)."""


@dataclass(frozen=True)
class Pruned:
    """What a step came to: its bundle, and what was decided; None or empty where not asked for."""

    bundle: Bundle
    layers: LayerPlan | None = None
    channels: Plan | None = None
    zeros: tuple[KernelZeros, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.channels is None else self.channels.notes


def run_prune(
    bundle: Bundle, step: PruneStep, data: Dataset | None, progress: Progress, seed: int = 0
) -> Pruned:
    """Does what the step says. data: training images, for the ranks that ask them."""
    if needs_images(step) and data is None:
        raise InputError(
            f"--layer-rank {step.layer_rank} asks images: name --data FILE, or --images DIR with "
            "--annotations FILE; gamma needs none"
        )
    done = Pruned(bundle)
    if step.layers is not None and step.order == "layers-first":
        done = _layers(done, step, data, progress, seed)
    if step.granularity != "channel":
        done = _zeros(done, step)
    elif placements(step):
        plan = make_plan(done.bundle, _of_the_whole(step, bundle.cfg, done.bundle.cfg))
        cut = prune_bundle(done.bundle, plan, step.absorb)
        done = replace(done, bundle=cut, channels=plan)
    if step.layers is not None and step.order == "channels-first":
        done = _layers(done, step, data, progress, seed)
    return done


def require_possible(bundle: Bundle, step: PruneStep) -> None:
    """Raises InputError for what no weights could change: more layers than there are, a target
    that no choice of channels reaches, dense sections that are none."""
    if step.layers is not None:
        count_layers(bundle, step.layers)
    if step.granularity != "channel":
        zero_weights(bundle, "2:4", dense=dense_sections(bundle.cfg, step.dense))
    elif placements(step) and not (step.layers and step.order == "layers-first"):
        make_plan(bundle, step)


def needs_images(step: PruneStep) -> bool:
    """Whether its layers are ranked by images."""
    return step.layers is not None and step.layer_rank != "gamma"


def dense_sections(cfg: Cfg, dense: Dense) -> frozenset[int]:
    """The sections that `dense` names."""
    convs = [index for index, section in enumerate(cfg) if isinstance(section, Conv)]
    found: set[int] = set()
    for name in dense:
        if name == "heads":
            found |= cfg.head_convs
        elif name == "first":
            found |= set(convs[:1])
        else:
            found.add(int(name))
    return frozenset(found)


def _layers(
    done: Pruned, step: PruneStep, data: Dataset | None, progress: Progress, seed: int
) -> Pruned:
    assert step.layers is not None
    plan = plan_layers(done.bundle, step.layers, _rank(step, data, progress, seed))
    return replace(done, bundle=take_layers(done.bundle, plan.dropped), layers=plan)


def _zeros(done: Pruned, step: PruneStep) -> Pruned:
    assert step.granularity != "channel"
    dense = dense_sections(done.bundle.cfg, step.dense)
    zeroed = zero_weights(
        done.bundle, step.granularity, 0.5 if step.ratio is None else step.ratio, step.within,
        step.kernel_norm, step.layer_keep, dense,
    )  # fmt: skip
    return replace(done, bundle=zeroed, zeros=kernel_zeros(zeroed, step.granularity, dense))


def _of_the_whole(step: PruneStep, whole: Cfg, left: Cfg) -> PruneStep:
    """A target is a share of the network before its layers went: said of what they leave."""
    if whole == left:
        return step
    before, after = totals(whole), totals(left)

    def share(target: float | None, quantity: str) -> float | None:
        if target is None:
            return None
        return min(1.0, target * float(getattr(before, quantity) / getattr(after, quantity)))

    return step.model_copy(
        update={
            "target_macs": share(step.target_macs, "macs"),
            "target_params": share(step.target_params, "parameters"),
        }
    )


def _rank(step: PruneStep, data: Dataset | None, progress: Progress, seed: int) -> Rank:
    if step.layer_rank == "gamma":
        return gamma
    assert data is not None
    order = np.random.default_rng(seed).permutation(len(data.samples))[: step.layer_images]
    some = replace(data, samples=tuple(data.samples[k] for k in sorted(order)))
    if step.layer_rank == "similarity":
        return partial(_by_similarity, some=some, progress=progress)
    return partial(_by_drop_one, some=some, progress=progress)


def _by_similarity(
    bundle: Bundle, blocks: tuple[Block, ...], some: Dataset, progress: Progress
) -> Scores:
    n_images = len(some.samples)
    batches = input_batches(some, bundle.cfg, n_images)
    with progress("similarity of layers") as advance:
        return similarity(bundle, blocks, batches, lambda done: advance(done, n_images))


def _by_drop_one(
    bundle: Bundle, blocks: tuple[Block, ...], some: Dataset, progress: Progress
) -> Scores:
    require_classes(bundle.cfg.n_classes, some, bundle.cfg.source)
    require_boxes(some)

    def ap(candidate: Bundle) -> float:
        folded = fold_batchnorm(candidate)  # the same answers in less time
        return score(Detector(NetworkSession(network_of(folded.cfg, folded.weights))), some)["AP"]

    with progress("AP without each layer") as advance:
        return drop_one(bundle, blocks, ap, advance)
