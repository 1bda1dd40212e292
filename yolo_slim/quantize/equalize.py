"""Brings the channels of a map to more equal ranges: the same function, with less lost to rounding.

The idea is cross-layer equalization (Nagel et al., "Data-free quantization through weight
equalization", 2019). There kernels had one scale in all; here each row of a kernel has its own, and
it is the maps that gain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, Dropout, readers_of
from yolo_slim.errors import InputError
from yolo_slim.weights import network_of

SLOPES = {"linear": 1.0, "relu": 0.0, "leaky": 0.1, "relie": 0.01}
"""Below 0, of the activations with f(s x) = s f(x) for s > 0."""

NEGATIVE_SHARE = 2.0
"""Values below 0 count by the slope there times this. By the slope alone the map after the
activation would gain most; engines that round before the activation, too, see them whole."""

LARGEST_FACTOR = 1e3

Factors = dict[int, Tensor]


def pairs(cfg: Cfg) -> tuple[tuple[int, int], ...]:
    """(convolution, the only convolution that reads it), where scaling the channels between them
    changes nothing else."""
    read_by = readers_of(cfg)
    outputs = set(cfg.output_indices)
    shared = {s.share_index for s in cfg if isinstance(s, Conv)}

    def is_plain(index: int) -> bool:
        section = cfg[index]
        return (
            isinstance(section, Conv) and not section.xnor and section.share_index is None
            and index not in shared
        )  # fmt: skip

    def reader(index: int) -> int | None:
        """Of the map of `index`, through what does nothing to it in evaluation."""
        while True:
            if index in outputs or len(read_by.get(index, ())) != 1:
                return None
            (index,) = read_by[index]
            if not isinstance(cfg[index], Dropout):
                return index

    found = []
    for index, section in enumerate(cfg):
        if not (is_plain(index) and isinstance(section, Conv)):
            continue
        other = reader(index)
        if section.activation in SLOPES and other is not None and is_plain(other):
            read = cfg[other]
            assert isinstance(read, Conv)
            if read.groups == 1 or read.groups == section.filters == read.filters:
                found.append((index, other))
    return tuple(found)


def equalizing(bundle: Bundle, batches: Iterable[Tensor]) -> Factors:
    """section -> s [C]: what the channels of its map had better be divided by.

    bundle: folded. A row of a kernel has a scale of its own, so what writes a map loses nothing by
    it; nor does a depthwise reader, before which all channels get one range, s = a. Before a dense
    reader s = sqrt(a / w) shares what is lost between the map and the kernel (Xiao et al.,
    "SmoothQuant", 2023). a_c: the largest value of the channel, mean over images; w_c: the largest
    share that the channel's column has of a row's range.

    batches: images [B, channels, H, W], 0..1. Raises InputError for a bundle with BatchNorm.
    """
    if not bundle.is_folded:
        raise InputError("equalize needs a folded bundle")
    found = pairs(bundle.cfg)
    sizes = _sizes(bundle, [first for first, _ in found], batches)
    factors = {}
    for first, second in found:
        dense = _groups(bundle.cfg, second) == 1
        kernel = bundle.weights[f"{second}.conv.weight"] if dense else None
        factors[first] = _factors(sizes[first], kernel)
    return factors


def equalized(bundle: Bundle, factors: Factors) -> Bundle:
    """The bundle that computes the same with the maps of these sections divided, per channel."""
    weights = dict(bundle.weights)
    for first, second in pairs(bundle.cfg):
        if first not in factors:
            continue
        for name in (f"{first}.conv.weight", f"{first}.conv.bias"):
            rows = (-1,) + (1,) * (weights[name].dim() - 1)
            weights[name] = weights[name] / factors[first].view(rows)
        along = (1, -1, 1, 1) if _groups(bundle.cfg, second) == 1 else (-1, 1, 1, 1)
        key = f"{second}.conv.weight"
        weights[key] = weights[key] * factors[first].view(along)
    return replace(bundle, weights=weights)


def _groups(cfg: Cfg, index: int) -> int:
    section = cfg[index]
    assert isinstance(section, Conv)
    return section.groups


def _sizes(bundle: Bundle, sections: Sequence[int], batches: Iterable[Tensor]) -> dict[int, Tensor]:
    """section -> [C], the largest value of each channel of its output, mean over images."""
    network = network_of(bundle.cfg, bundle.weights)
    sums: dict[int, Tensor] = {}
    n_images = 0
    with torch.inference_mode():
        for images in batches:
            n_images += len(images)
            _, maps = network.forward_with_taps(images, sections, before_activation=True)
            for index, values in maps.items():
                section = bundle.cfg[index]
                assert isinstance(section, Conv)
                below = min(1.0, NEGATIVE_SHARE * SLOPES[section.activation])
                high, low = values.amax(dim=(2, 3)), values.amin(dim=(2, 3))
                most = torch.maximum(high, -low * below).clamp(min=0).sum(dim=0)
                sums[index] = sums.get(index, torch.zeros_like(most)) + most
    return {section: total / n_images for section, total in sums.items()}


def _factors(sizes: Tensor, kernel: Tensor | None) -> Tensor:
    """[C], above 0, their geometric mean 1; 1 where a channel is silent or is not read."""
    alive = sizes > 0
    ratio = sizes.double()
    if kernel is not None:
        rows = kernel.double().abs()
        rows = rows / rows.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30)
        columns = rows.amax(dim=(0, 2, 3))
        alive = alive & (columns > 0)
        ratio = (ratio / columns.clamp(min=1e-30)).sqrt()
    if not alive.any():
        return torch.ones_like(sizes)
    ratio = ratio / ratio[alive].log().mean().exp()
    ratio = torch.where(alive, ratio, torch.ones_like(ratio))
    return ratio.clamp(1 / LARGEST_FACTOR, LARGEST_FACTOR).to(sizes)
