"""What a prune step says: of channels, of whole layers, and of zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Protocol

from pydantic import AliasChoices, BaseModel, Field

from yolo_slim.pipeline.timing import USUAL, Engine
from yolo_slim.train.settings import MAX_SEED

Importance = Literal["gamma", "gamma-kernel", "l1", "l2", "fpgm", "taylor", "random"]
Reduce = Literal["max", "mean", "sum", "first"]
Normalize = Literal["layer", "none"]
Which = Literal["shortcut", "regular"]
Rounding = Literal["up", "nearest"]
LayerRank = Literal["gamma", "similarity", "drop-one"]
Order = Literal["layers-first", "channels-first"]
Granularity = Literal["channel", "layer", "weight", "2:4", "kernel"]
Zeroed = Literal["weight", "2:4", "kernel"]
Within = Literal["network", "layer"]
Norm = Literal["l1", "l2"]
Section = Annotated[int, Field(ge=0)]
Dense = tuple[Literal["heads", "first"] | Section, ...]

PLACEMENTS = ("ratio", "energy", "target_macs", "target_params", "target_latency_ms")
"""How much goes: one of them is named."""

Spelling = Callable[[str], str]
"""The name of a field -> how the person spells it who is told of it."""

SPELLING = "spelling"
"""Under which a step's validation context may hold one; else fields are spelled as in a recipe."""


class ChannelOptions(BaseModel):
    """One of PLACEMENTS says how much goes, the rest which channels: see prune/scores.py.

    select: share of what the blocks of a pre-activation network read at their entrance that goes.
    adapt: to target_latency_ms by NetAdapt's steps. runtime: in which latency is measured.
    recalibrate: on how many training images running statistics are measured anew after the cut.
    batch_size: of the images that 'taylor' asks. seed: of 'random', and of which images are asked.
    `score` is what `reduce` was called first.
    """

    ratio: Annotated[float, Field(ge=0, lt=1)] | None = None
    energy: Annotated[float, Field(ge=0, lt=1)] | None = None
    target_macs: Annotated[float, Field(gt=0, le=1)] | None = None
    target_params: Annotated[float, Field(gt=0, le=1)] | None = None
    target_latency_ms: Annotated[float, Field(gt=0)] | None = None
    adapt: bool = False
    runtime: Engine = USUAL
    layer_keep: Annotated[float, Field(ge=0, le=1)] = 0.05
    multiple: Annotated[int, Field(ge=1)] = 1
    rounding: Rounding = "up"
    importance: Importance = "gamma-kernel"
    reduce: Reduce = Field(default="max", validation_alias=AliasChoices("reduce", "score"))
    normalize: Normalize = "none"
    which: Which = "shortcut"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    select: Annotated[float, Field(ge=0, lt=1)] | None = None
    absorb: bool = True
    recalibrate: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 8


class LayerOptions(BaseModel):
    """layers: residual blocks that go; with the granularity 'layer' target_latency_ms may stand in
    its place. n_images: on how many images 'similarity', 'drop-one',
    'taylor' and NetAdapt ask; of the training images, so that the others still tell the truth."""

    layers: Annotated[int, Field(ge=1)] | None = None
    layer_rank: LayerRank = "gamma"
    n_images: Annotated[int, Field(ge=1)] = 200
    order: Order = "layers-first"


class ZeroOptions(BaseModel):
    """granularity: 'channel' cuts, 'layer' is whole blocks and nothing else, the others set to 0.
    dense: convolutions left alone, by the number of their section or in a word: those that heads
    read, the first one."""

    granularity: Granularity = "channel"
    within: Within = "network"
    kernel_norm: Norm = "l1"
    dense: Dense = ("heads",)

    @property
    def zeroed(self) -> Zeroed | None:
        """The granularity of what becomes 0; None where something is cut."""
        if self.granularity == "channel" or self.granularity == "layer":
            return None
        return self.granularity


class _Asked(Protocol):
    ratio: float | None
    layers: int | None
    select: float | None
    adapt: bool
    granularity: Granularity


def placements(step: object) -> list[str]:
    """Those of PLACEMENTS that a step names."""
    return [name for name in PLACEMENTS if getattr(step, name) is not None]


def channel_placements(step: _Asked) -> list[str]:
    """Those that say how many channels go; the granularity 'layer' has a latency for its blocks."""
    return [] if step.granularity == "layer" else placements(step)


def require_target(step: _Asked, spelled: Spelling = str) -> None:
    """Raises ValueError unless the step says exactly once how much is to go."""
    named, granularity = placements(step), step.granularity
    asked = f"{spelled('granularity')} {granularity}"
    if granularity == "layer":
        latency = "target_latency_ms"
        if step.layers is None and latency not in named:
            raise ValueError(
                f"{asked} removes whole blocks: say how many with {spelled('layers')}, or how fast "
                f"it is to be with {spelled(latency)}"
            )
        if step.layers is not None and latency in named:
            raise ValueError(f"name {spelled('layers')} or {spelled(latency)}, not both")
        allowed = [latency]
        others = {"select": step.select is not None, "adapt": step.adapt}
        for name in (*named, *(name for name, given in others.items() if given)):
            if name not in allowed:
                raise ValueError(f"{asked} removes blocks alone: leave out {spelled(name)}, or it")
    elif granularity == "channel":
        alone = step.layers is not None or step.select is not None
        if len(named) != 1 and not (alone and not named):
            raise ValueError(f"name exactly one of {', '.join(map(spelled, PLACEMENTS))}")
        if step.adapt and named != ["target_latency_ms"]:
            latency = spelled("target_latency_ms")
            raise ValueError(f"{spelled('adapt')} goes to a latency: name {latency}")
    elif set(named) - {"ratio"}:
        raise ValueError(f"{asked} sets to 0 and leaves all MACs: name {spelled('ratio')}")
    elif granularity == "2:4" and named:
        raise ValueError(f"{asked} is half of every four: leave out {spelled('ratio')}")
    elif granularity != "2:4" and not named:
        raise ValueError(f"{asked} sets a share to 0: name {spelled('ratio')}")
