"""What each option of a prune step takes to do anything: one that would do nothing is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from yolo_slim.errors import InputError
from yolo_slim.pipeline.prune_options import Spelling, channel_placements
from yolo_slim.pipeline.prune_step import needs_images
from yolo_slim.pipeline.recipe_steps import PruneStep


@dataclass(frozen=True)
class Wish:
    """typed: the fields of `step`, and other parameters, that are named, by whatever value."""

    step: PruneStep
    typed: frozenset[str]
    sweep: bool = False

    @property
    def asks_data(self) -> bool:
        """Whether anything asks images beyond those of --recalibrate."""
        return self.sweep or needs_images(self.step.model_copy(update={"recalibrate": 0}))

    @property
    def asks_some(self) -> bool:
        """Whether anything asks a number of images; a sweep recalibrates on those of --data."""
        return needs_images(self.step) or (self.sweep and "data" in self.typed)

    @property
    def times(self) -> bool:
        """Whether latency is measured."""
        to_latency = self.step.target_latency_ms is not None
        return to_latency or self.sweep or bool(self.typed & {"latency", "json"})

    @property
    def cuts_channels(self) -> bool:
        return self.step.zeroed is None and (self.sweep or bool(channel_placements(self.step)))

    @property
    def has_floor(self) -> bool:
        """Whether every convolution keeps a share."""
        by_threshold = self.step.granularity in ("weight", "kernel")
        floored = by_threshold and self.step.within == "network"
        return self.cuts_channels or self.step.select is not None or floored


@dataclass(frozen=True)
class Need:
    """holds: whether an option does something. told: what it is for, with {fields} of a step."""

    holds: Callable[[Wish], bool]
    told: str


KERNELS = Need(lambda w: w.step.granularity == "kernel", "it is for {granularity} kernel")
SHARES = Need(
    lambda w: w.step.granularity in ("weight", "kernel"),
    "it is for {granularity} weight or kernel",
)
ZEROS = Need(lambda w: w.step.zeroed is not None, "it is for {granularity} weight, kernel or 2:4")
NO_ZEROS = Need(
    lambda w: w.step.zeroed is None,
    "it is for channels that go, and with that {granularity} weights become 0 in place of them",
)
CHANNELS = Need(
    lambda w: w.cuts_channels,
    "it is for channels that go, and no {ratio} or other target says how many of them",
)
MULTIPLES = Need(lambda w: w.step.multiple > 1, "it is for {multiple} above 1")
FLOOR = Need(
    lambda w: w.has_floor,
    "it is for channels that go, for {select}, and for zeros {within} network",
)
LAYERS = Need(lambda w: w.step.ranks_layers, "it is for {layers}, or {granularity} layer")
BESIDE = Need(
    lambda w: (
        bool(channel_placements(w.step)) or w.step.select is not None or w.step.zeroed is not None
    ),
    "it is for {layers} beside a {ratio} or another target, {select} or {granularity}",
)
ONE_CUT = Need(lambda w: not w.sweep, "a sweep measures the latency of every ratio anyhow")
TIMED = Need(
    lambda w: w.times,
    "it is for {target_latency_ms}, and for --latency, --json and --sweep of the command",
)
ASKED = "{importance} taylor, {layer_rank} similarity or drop-one, {adapt}"
DATA = Need(
    lambda w: w.asks_data,
    f"it is for {ASKED} and --sweep; --recalibrate names a file of its own",
)
SOME_IMAGES = Need(lambda w: w.asks_some, f"it is for {ASKED} and {{recalibrate}}")
BATCHES = Need(lambda w: w.step.importance == "taylor", "it is for {importance} taylor")

NEEDS: dict[str, tuple[Need, ...]] = {
    "within": (SHARES,),
    "kernel_norm": (KERNELS,),
    "dense": (ZEROS,),
    "importance": (NO_ZEROS, CHANNELS),
    "reduce": (NO_ZEROS, CHANNELS),
    "normalize": (NO_ZEROS, CHANNELS),
    "which": (NO_ZEROS, CHANNELS),
    "absorb": (NO_ZEROS, CHANNELS),
    "multiple": (NO_ZEROS, CHANNELS),
    "rounding": (NO_ZEROS, CHANNELS, MULTIPLES),
    "layer_keep": (FLOOR,),
    "layer_rank": (LAYERS,),
    "order": (LAYERS, BESIDE),
    "data": (DATA,),
    "images": (DATA,),
    "annotations": (DATA,),
    "n_images": (SOME_IMAGES,),
    "batch_size": (BATCHES,),
    "latency": (ONE_CUT,),
    "runtime": (TIMED,),
}
"""Option -> what must hold for it to do something, told in this order. A seed is fine everywhere:
people give it to every command alike."""


def require_effects(wish: Wish, spelled: Spelling = str) -> None:
    """Raises InputError for the first option that was typed in vain."""
    for name, needs in NEEDS.items():
        for need in needs:
            if name in wish.typed and not need.holds(wish):
                told = need.told.format_map({f: spelled(f) for f in PruneStep.model_fields})
                raise InputError(f"{spelled(name)} does nothing here: {told}")
