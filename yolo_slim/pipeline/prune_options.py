"""What a prune step says of whole layers and of zeros; its channels are told in the step itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

LayerRank = Literal["gamma", "similarity", "drop-one"]
Order = Literal["layers-first", "channels-first"]
Granularity = Literal["channel", "weight", "2:4", "kernel"]
Within = Literal["network", "layer"]
Norm = Literal["l1", "l2"]
Section = Annotated[int, Field(ge=0)]
Dense = tuple[Literal["heads", "first"] | Section, ...]


class LayerOptions(BaseModel):
    """layers: residual blocks that go. layer_images: on how many images 'similarity' and
    'drop-one' ask; of the training images, so that the others still tell the truth."""

    layers: Annotated[int, Field(ge=1)] | None = None
    layer_rank: LayerRank = "gamma"
    layer_images: Annotated[int, Field(ge=1)] = 200
    order: Order = "layers-first"


class ZeroOptions(BaseModel):
    """granularity: 'channel' cuts, the others set to 0. dense: convolutions left alone, by the
    number of their section or in a word: those that heads read, the first one."""

    granularity: Granularity = "channel"
    within: Within = "network"
    kernel_norm: Norm = "l1"
    dense: Dense = ("heads",)


def require_target(
    ratio: float | None, targets: tuple[float | None, ...], layers: int | None, granularity: str
) -> None:
    """Raises ValueError unless the step says exactly once how much is to go."""
    n_targets = sum(target is not None for target in targets)
    n_given = n_targets + (ratio is not None)
    if granularity == "channel":
        if n_given != 1 and not (layers and n_given == 0):
            raise ValueError("name exactly one of ratio, target_macs, target_params")
    elif n_targets:
        raise ValueError(f"granularity {granularity} sets to 0 and leaves all MACs: name a ratio")
    elif granularity == "2:4" and ratio is not None:
        raise ValueError("granularity 2:4 is half of every four: leave out ratio")
    elif granularity != "2:4" and ratio is None:
        raise ValueError(f"granularity {granularity} needs a ratio")
