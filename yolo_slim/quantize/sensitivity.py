"""What each convolution's rounding costs: the error of the outputs with one at a time in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.nn.network import Network
from yolo_slim.weights import network_of


@dataclass(frozen=True)
class Sensitivity:
    """whole: error of the outputs with all convolutions of the plan in INT8. without: section ->
    the error with that one in float. An error is the mean squared difference from the float
    network's raw maps, as a share of their variance, the mean over the heads."""

    whole: float
    without: dict[int, float]

    def gains(self) -> dict[int, float]:
        """section -> share of the whole error that goes when it stays in float, largest first."""
        whole = max(self.whole, 1e-30)
        shares = {index: 1 - error / whole for index, error in self.without.items()}
        return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def sensitivity(
    bundle: Bundle,
    batches: Sequence[Tensor],
    progress: Callable[[int, int], None] | None = None,
    good_enough: float = 0.0,
) -> Sensitivity:
    """Runs a quantized bundle on images [B, channels, H, W], 0..1, once per convolution in INT8.

    good_enough: no convolution is asked where the whole error is not above it. progress:
    (convolutions done, of how many). Raises InputError for a bundle without a plan.
    """
    plan = bundle.precision
    if plan is None:
        raise InputError(f"{bundle.cfg.source} has no INT8 plan: quantize it first")
    exact = network_of(bundle.cfg, bundle.weights)
    with torch.inference_mode():
        expected = [exact(images) for images in batches]
        del exact
        network = network_of(bundle.cfg, bundle.weights, plan)
        network.channels_last()
        batches = [b.contiguous(memory_format=torch.channels_last) for b in batches]
        whole = _error(network, batches, expected)
        without: dict[int, float] = {}
        for index in plan.convs if whole > good_enough else ():
            network.imitate(plan.without({index}))
            without[index] = _error(network, batches, expected)
            if progress is not None:
                progress(len(without), len(plan.convs))
    return Sensitivity(whole, without)


def _error(
    network: Network, batches: Sequence[Tensor], expected: Sequence[tuple[Tensor, ...]]
) -> float:
    wrong = torch.zeros(len(expected[0]))
    for images, heads in zip(batches, expected, strict=True):
        for number, (raw, right) in enumerate(zip(network(images), heads, strict=True)):
            wrong[number] += (raw - right).square().mean() * len(images)
    spread = torch.stack([_spread(maps) for maps in zip(*expected, strict=True)])
    return float((wrong / spread.clamp(min=1e-30)).mean())


def _spread(maps: Sequence[Tensor]) -> Tensor:
    """The variance of one head's maps, times the number of images.

    Within batches; over all of them where one is a single number, which has none by itself.
    """
    if all(found.numel() > 1 for found in maps):
        return torch.stack([found.var() * len(found) for found in maps]).sum()
    whole = torch.cat([found.flatten() for found in maps])
    return whole.var(correction=0) * sum(len(found) for found in maps)
