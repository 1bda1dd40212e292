"""From a prune step to the plan of its channels, with what the plan asks of data and clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import DataError, InputError
from yolo_slim.nn.network import Network
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.pipeline.same_classes import numbered_as
from yolo_slim.pipeline.scoring import (
    bundle_scorer,
    input_batches,
    require_heads,
)
from yolo_slim.pipeline.timing import USUAL, Engine, cfg_latency_ms
from yolo_slim.prune.absorb import absorb
from yolo_slim.prune.cut import take
from yolo_slim.prune.latency_table import LatencyTable
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.netadapt import plan_netadapt
from yolo_slim.prune.place import plan_cost, plan_energy, plan_most, plan_ratio, plan_target
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.recalibrate import recalibrate, require_some
from yolo_slim.prune.scores import Scoring
from yolo_slim.prune.taylor import taylor_evidence
from yolo_slim.train.loss import detection_loss
from yolo_slim.weights import network_of

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""A bar with that text, giving advance(done, total)."""

CALIBRATIONS = 4
"""How often NetAdapt goes on from a network that takes longer than its table has said."""

TABLE_SECONDS = 0.04
"""How long a single convolution is timed, five times over."""

TIMINGS = 16
"""Networks that a bisection times: one a bit of the number of channels, and a few on the way back.
"""


@dataclass(frozen=True)
class Surroundings:
    """What a step may ask beyond the bundle. data: training images with boxes, None without any.

    recalibration: those that running statistics are measured on; None takes those of data.
    threads, engine: that latency is measured with. seed: of the choice of images.
    """

    progress: Progress
    data: Dataset | None = None
    recalibration: Dataset | None = None
    threads: int = 1
    seed: int = 0
    engine: Engine = USUAL

    def some(self, n_images: int, asked_by: str) -> Dataset:
        """Up to `n_images` of the data, drawn without replacement.

        Raises InputError, naming what asked for them, where there is no data.
        """
        return self._drawn(self.data, n_images, asked_by)

    def some_to_recalibrate(self, n_images: int) -> Dataset:
        """The same of those that running statistics are measured on."""
        return self._drawn(self.recalibration or self.data, n_images, "--recalibrate")

    def recalibrated(self, bundle: Bundle, n_images: int) -> Bundle:
        """The bundle with running statistics of so many images; see recalibrate."""
        some = self.some_to_recalibrate(n_images)
        count = len(some.samples)
        with self.progress("running statistics") as advance:
            batches = input_batches(some, bundle.cfg, count)
            return recalibrate(bundle, batches, lambda done: advance(done, count))

    def _drawn(self, images: Dataset | None, n_images: int, asked_by: str) -> Dataset:
        if images is None:
            raise InputError(
                f"{asked_by} asks images: name --data FILE, or --images DIR with --annotations FILE"
            )
        places = np.random.default_rng(self.seed).permutation(len(images.samples))[:n_images]
        return replace(images, samples=tuple(images.samples[k] for k in sorted(places)))


def make_plan(bundle: Bundle, step: PruneStep, around: Surroundings) -> Plan:
    """The plan that a prune step asks for. What cannot be is refused before images are asked."""
    limits = limits_of(step)
    if step.target_latency_ms is not None:
        return _to_latency(bundle, step, around, step.target_latency_ms, limits)
    scoring = scoring_of(bundle, step, around)
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


def _to_latency(
    bundle: Bundle, step: PruneStep, around: Surroundings, target_ms: float, limits: Limits
) -> Plan:
    asks = {"--adapt": step.adapt, "--importance taylor": step.importance == "taylor"}
    for asked_by in (name for name, asking in asks.items() if asking):
        around.some(step.n_images, asked_by)
        require_heads(bundle.cfg)
    clock = Clock(around)
    with around.progress("the narrowest network") as advance:
        # Which channels go changes no width: evidence can wait until it is known to be of use.
        judged = step.importance if step.importance != "taylor" else "gamma"
        least_ms = clock(plan_most(bundle, Scoring(judged, which=step.which), limits).narrowed)
        advance(1, 1)
    if least_ms > target_ms:
        raise InputError(
            f"{target_ms:.3g} ms cannot be reached by channels alone: the narrowest network takes "
            f"{least_ms:.3g} ms (every convolution keeps {limits.layer_keep:.0%}); ask for more, "
            "lower --layer-keep, or remove --layers, too"
        )
    scoring = scoring_of(bundle, step, around)
    if step.adapt:
        return _adapted(bundle, step, around, target_ms, scoring, limits)
    with around.progress("cut networks timed") as advance:
        clock.advance = advance
        plan = plan_cost(bundle, clock, target_ms, scoring, limits, tell="{:.3g} ms".format)
        return replace(plan, latency_ms=clock(plan.narrowed))


class Clock:
    """Milliseconds of whole networks, each timed once. advance: where set, it is told how many."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.known: dict[Cfg, float] = {}
        self.advance: Callable[[int, int], None] | None = None

    def __call__(self, cfg: Cfg) -> float:
        if cfg not in self.known:
            self.known[cfg] = cfg_latency_ms(cfg, self.around.threads, self.around.engine)
            if self.advance is not None:
                self.advance(len(self.known), max(TIMINGS, len(self.known) + 1))
        return self.known[cfg]


def _adapted(
    bundle: Bundle, step: PruneStep, around: Surroundings, target_ms: float, scoring: Scoring,
    limits: Limits,
) -> Plan:  # fmt: skip
    numbers = bundle_scorer(around.some(step.n_images, "--adapt"))

    def single_ms(cfg: Cfg) -> float:
        return cfg_latency_ms(cfg, around.threads, around.engine, TABLE_SECONDS)

    def score(plan: Plan) -> float:
        return numbers(prune_bundle(bundle, plan, step.absorb))["AP"]

    table = LatencyTable(single_ms)
    cfg, plan, n_steps = bundle.cfg, None, 0
    for _ in range(CALIBRATIONS):
        # Layers added up are not quite the network: what was found is measured, and gone on from.
        with around.progress("NetAdapt") as advance:
            table.calibrate(cfg, cfg_latency_ms(cfg, around.threads, around.engine))
            found = plan_netadapt(
                bundle, table, target_ms, score, scoring, limits, start=plan, progress=advance
            )
        plan, n_steps = found.plan, n_steps + len(found.steps)
        cfg = plan.narrowed
        measured_ms = cfg_latency_ms(cfg, around.threads, around.engine)
        if measured_ms <= target_ms:
            told = f"{measured_ms:.3g} ms measured, after {n_steps} steps by a table of layers"
            return replace(plan, notes=(*plan.notes, told), latency_ms=measured_ms)
    raise InputError(
        f"--adapt found no network of {target_ms:.3g} ms: what the table of layers says is "
        f"{measured_ms:.3g} ms when it is measured, after {CALIBRATIONS} corrections; is this "
        "machine busy with other work?"
    )


def limits_of(step: PruneStep) -> Limits:
    """How narrow the step lets a layer become."""
    return Limits(step.layer_keep, step.multiple, step.rounding)


def scoring_of(bundle: Bundle, step: PruneStep, around: Surroundings) -> Scoring:
    """How the step judges channels; the evidence of 'taylor' is gathered here."""
    scoring = Scoring(step.importance, step.reduce, step.normalize, step.which, step.seed)
    if step.importance != "taylor":
        return scoring
    some = around.some(step.n_images, "--importance taylor")
    require_some(len(some.samples), "judge channels by (--importance taylor)")
    bundle.cfg.require_yolos()
    bundle.require_batchnorm("prune")
    cfg = bundle.cfg
    some = numbered_as(some, cfg.source, bundle.class_names, cfg.n_classes)
    with around.progress("slopes of the loss") as advance:
        batches = _batches(cfg, some, step.batch_size, advance)
        network = network_of(cfg, bundle.weights)
        return replace(scoring, evidence=taylor_evidence(network, batches, _loss))


def _batches(
    cfg: Cfg, data: Dataset, size: int, advance: Callable[[int, int], None]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images [B, C, H, W], 0 to 1, as they are, and their targets [N, 6]."""
    items = TrainingSet(data, cfg.input_hw, cfg.resize_mode, channels=cfg.net.channels, cache="off")
    for start in range(0, len(items), size):
        batch = collate([items[k] for k in range(start, min(start + size, len(items)))])
        if isinstance(batch, DataError):
            raise batch
        images, targets, _ = batch
        yield images.float() / 255, targets
        advance(min(start + size, len(items)), len(items))


def _loss(network: Network, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, targets = batch
    terms = detection_loss(network(images), targets, network.cfg)
    return sum(terms.values(), images.new_zeros(()))
