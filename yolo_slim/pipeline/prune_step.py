"""A whole prune step: layers, then channels or zeros, or the other way round."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Block, Cfg, Conv, drop_blocks, head_maps, totals
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.pipeline.prune_options import Dense, Zeroed, channel_placements
from yolo_slim.pipeline.pruning import (
    Clock,
    Progress,
    Surroundings,
    limits_of,
    make_plan,
    prune_bundle,
    scoring_of,
)
from yolo_slim.pipeline.recipe_steps import PruneStep
from yolo_slim.pipeline.scoring import bundle_scorer, input_batches
from yolo_slim.prune.entrances import Kept, plan_entrances, take_entrances
from yolo_slim.prune.layer_rank import drop_one, gamma, similarity
from yolo_slim.prune.layers import (
    LayerPlan,
    Rank,
    Scores,
    count_layers,
    plan_layers,
    plan_layers_to,
    take_layers,
)
from yolo_slim.prune.masks import KernelZeros, kernel_zeros, zero_weights
from yolo_slim.prune.place import largest_ratio
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.recalibrate import require_some

_NOTHING = Surroundings(lambda text: nullcontext(lambda done, total: None))


@dataclass(frozen=True)
class Pruned:
    """What a step came to: its bundle, and what was decided; None or empty where not asked for.

    planned_ms: its latency as it was timed, with random weights, where it was chosen by that.
    remarks: what its reader should know beside the notes of the channels' plan.
    """

    bundle: Bundle
    layers: LayerPlan | None = None
    channels: Plan | None = None
    entrances: Kept = field(default_factory=dict)
    zeros: tuple[KernelZeros, ...] = ()
    planned_ms: float | None = None
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return self.remarks if self.channels is None else (*self.channels.notes, *self.remarks)


def run_prune(bundle: Bundle, step: PruneStep, around: Surroundings) -> Pruned:
    """Does what the step says. Raises InputError for what cannot be, before it is done.

    The seed that a step names draws its images, too, in place of that of `around`."""
    if "seed" in step.model_fields_set:
        around = replace(around, seed=step.seed)
    if step.recalibrate:
        require_some(len(around.some_to_recalibrate(step.recalibrate).samples), "recalibrate from")
    done = Pruned(bundle)
    if step.granularity == "layer" and step.target_latency_ms is not None:
        done = _layers_to(done, step, around, step.target_latency_ms)
    if step.layers is not None and step.order == "layers-first":
        done = _layers(done, step, around)
    if step.zeroed is not None:
        done = _zeros(done, step, step.zeroed)
    elif channel_placements(step):
        asked = _of_the_whole(step, bundle.cfg, done.bundle.cfg)
        plan = make_plan(done.bundle, asked, around)
        cut = prune_bundle(done.bundle, plan, step.absorb)
        done = replace(done, bundle=cut, channels=plan, planned_ms=plan.latency_ms)
    if step.select is not None:
        done = _entrances(done, step.select, step.layer_keep)
    if step.layers is not None and step.order == "channels-first":
        done = _layers(done, step, around)
    if step.recalibrate:
        done = replace(done, bundle=around.recalibrated(done.bundle, step.recalibrate))
    return done


def require_possible(bundle: Bundle, step: PruneStep) -> None:
    """Raises InputError for what no weights could change: more layers than there are, a target
    or a ratio that no choice of channels reaches, dense sections that are none."""
    if step.layers is not None:
        count_layers(bundle, step.layers)
    elif step.granularity == "layer":
        count_layers(bundle)
    if step.select is not None:
        plan_entrances(bundle, step.select, step.layer_keep)
    if step.zeroed is not None:
        zero_weights(bundle, "2:4", dense=dense_sections(bundle.cfg, step.dense))
    elif channel_placements(step) and not (step.layers and step.order == "layers-first"):
        if step.target_latency_ms is None:  # which would have to be measured
            if step.importance == "taylor":  # which asks images; it decides of the same channels
                step = step.model_copy(update={"importance": "gamma"})
            make_plan(bundle, step, _NOTHING)
            _require_ratio(bundle, step)


def _require_ratio(bundle: Bundle, step: PruneStep) -> None:
    if step.ratio is None:
        return
    largest = largest_ratio(bundle, scoring_of(bundle, step, _NOTHING), limits_of(step))
    if step.ratio > largest:
        multiple = f" and --multiple {step.multiple}" if step.multiple > 1 else ""
        raise InputError(
            f"--ratio {step.ratio:g} is out of reach: at most {largest:g} of the channels can go "
            f"with --layer-keep {step.layer_keep:g}{multiple}"
        )


def needs_images(step: PruneStep) -> bool:
    """Whether anything of it asks images."""
    by_images = step.ranks_layers and step.layer_rank != "gamma"
    return by_images or step.importance == "taylor" or step.adapt or step.recalibrate > 0


def dense_sections(cfg: Cfg, dense: Dense) -> frozenset[int]:
    """The sections that `dense` names."""
    convs = [index for index, section in enumerate(cfg) if isinstance(section, Conv)]
    found: set[int] = set()
    for name in dense:
        if name == "heads":
            found |= head_maps(cfg)
        elif name == "first":
            found |= set(convs[:1])
        else:
            found.add(int(name))
    return frozenset(found)


def _layers(done: Pruned, step: PruneStep, around: Surroundings) -> Pruned:
    assert step.layers is not None
    plan = plan_layers(done.bundle, step.layers, _rank(step, around))
    cut = take_layers(done.bundle, plan.dropped)
    return replace(done, bundle=cut, layers=plan, planned_ms=None)


def _layers_to(done: Pruned, step: PruneStep, around: Surroundings, target_ms: float) -> Pruned:
    clock = Clock(around)
    with around.progress("networks with fewer layers timed") as advance:
        clock.advance = advance
        plan = plan_layers_to(
            done.bundle, clock, target_ms, _rank(step, around), tell="{:.4g} ms".format
        )
    cut = take_layers(done.bundle, plan.dropped) if plan.dropped else done.bundle
    planned_ms, remarks = clock(cut.cfg), done.remarks
    if not plan.dropped:
        remarks = (*remarks, f"no layer went: {planned_ms:.3g} ms meet the target without any")
    return replace(done, bundle=cut, layers=plan, planned_ms=planned_ms, remarks=remarks)


def _entrances(done: Pruned, ratio: float, layer_keep: float) -> Pruned:
    kept = plan_entrances(done.bundle, ratio, layer_keep)
    remarks = done.remarks
    if all(mask.all() for mask in kept.values()):
        n_read = sum(len(mask) for mask in kept.values())
        why = f"--layer-keep {layer_keep:g} keeps all that would have gone"
        if round(ratio * n_read) == 0:
            why = f"--select {ratio:g} of {n_read} is none"
        remarks = (*remarks, f"every block reads all: {why}")
    cut = take_entrances(done.bundle, kept)
    return replace(done, bundle=cut, entrances=kept, planned_ms=None, remarks=remarks)


def _zeros(done: Pruned, step: PruneStep, zeroed_by: Zeroed) -> Pruned:
    dense = _still_dense(done, step.dense)
    ratio = 0.5 if step.ratio is None else step.ratio
    zeroed = zero_weights(
        done.bundle, zeroed_by, ratio, step.within, step.kernel_norm, step.layer_keep, dense
    )
    before, after = (kernel_zeros(b, zeroed_by, dense) for b in (done.bundle, zeroed))
    remarks = done.remarks
    if before == after:
        why = f"--ratio {ratio:g} takes no more than was 0, or than --layer-keep lets go"
        if all(found.left_alone for found in after):
            why = "all convolutions are left alone"
        elif zeroed_by == "2:4":
            why = "two of every four were 0 before"
        remarks = (*remarks, f"nothing became 0: {why}")
    return replace(done, bundle=zeroed, zeros=after, remarks=remarks)


def _still_dense(done: Pruned, dense: Dense) -> frozenset[int]:
    """The sections that were named before layers went, as they are numbered now."""
    if done.layers is None:
        return dense_sections(done.bundle.cfg, dense)
    _, moved = drop_blocks(done.layers.cfg, done.layers.dropped)
    now = (moved[index] for index in dense_sections(done.layers.cfg, dense))
    return frozenset(index for index in now if index is not None)


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


def _rank(step: PruneStep, around: Surroundings) -> Rank:
    if step.layer_rank == "gamma":
        return gamma
    some = around.some(step.n_images, f"--layer-rank {step.layer_rank}")
    ask = _by_similarity if step.layer_rank == "similarity" else _by_drop_one
    return partial(ask, some=some, progress=around.progress)


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
    numbers = bundle_scorer(some)
    with progress("AP without each layer") as advance:
        return drop_one(bundle, blocks, lambda candidate: numbers(candidate)["AP"], advance)
