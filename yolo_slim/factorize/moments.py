"""What a kernel reads and writes on images: means and covariances, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.nn.blocks import ConnectedBlock, ConvBlock
from yolo_slim.weights import network_of

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""A bar with that text, giving advance(done, total)."""

MAX_SAMPLES = 1 << 15
"""Places of all images together that are looked at in a section."""

Receive = Callable[[int, Tensor, Tensor], None]
"""section; x [N, C, K], what its kernel reads at N places; y [N, O], what it makes of that, without
the bias."""


def silent(text: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A Progress that shows nothing."""
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Calibration:
    """batches: gives the same images [B, channels, H, W] in 0..1, preprocessed as for inference,
    each time it is called. n_images: how many."""

    batches: Callable[[], Iterable[Tensor]]
    n_images: int


@dataclass(frozen=True)
class Moments:
    """Of `count` samples, in float64. written: covariance [O, O] of what a kernel writes, mean: its
    mean [O]. channels: covariance [C, C] of the channels that it reads, over all places of a patch;
    places: [K, K], of the places of a patch, over all channels. The last two for K > 1 alone."""

    count: int
    mean: Tensor
    written: Tensor
    channels: Tensor
    places: Tensor


class _Sums:
    """What Moments are made of, over all batches so far."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, x: Tensor, y: Tensor) -> None:
        self.count += len(y)
        found = {"y": y.sum(dim=0), "yy": y.T @ y}
        if x.shape[2] > 1:
            by_channel, by_place = (x.transpose(0, d).flatten(1) for d in (1, 2))
            found |= {"x": x.sum(dim=0), "cc": by_channel @ by_channel.T}
            found["pp"] = by_place @ by_place.T
        for name, value in found.items():
            self.sums[name] = self.sums.get(name, 0) + value.double()

    def moments(self) -> Moments:
        n = self.count
        mean, nothing = self.sums["y"] / n, torch.zeros(0, 0, dtype=torch.float64)
        channels = places = nothing
        if "x" in self.sums:
            x = self.sums["x"] / n  # [C, K]
            area = x.shape[1]
            of_channel = x.mean(dim=1)
            channels = self.sums["cc"] / (n * area) - torch.outer(of_channel, of_channel)
            places = self.sums["pp"] / n - x.T @ x
        written = self.sums["yy"] / n - torch.outer(mean, mean)
        return Moments(n, mean, written, channels, places)


def gather(
    bundle: Bundle, sections: Collection[int], shown: Calibration, progress: Progress = silent
) -> dict[int, Moments]:
    """The moments of these sections, in one pass over the images; none for a section that no head
    reads."""
    sums = {index: _Sums() for index in sections}
    with progress("what sections read and write") as advance:
        look(bundle, sections, shown, lambda index, x, y: sums[index].add(x, y), advance)
    return {index: found.moments() for index, found in sums.items() if found.count}


def look(
    bundle: Bundle, sections: Collection[int], shown: Calibration, receive: Receive,
    advance: Callable[[int, int], None],
) -> None:  # fmt: skip
    """Runs all images, and hands on what these sections read and write at some places.

    The places are drawn by the number of the section: the same each time. Raises InputError where
    there are no images.
    """
    network = network_of(bundle.cfg, bundle.weights)
    per_image = -(-MAX_SAMPLES // max(shown.n_images, 1))
    for index in sections:
        block = network.get_submodule(str(index))
        draw = torch.Generator().manual_seed(index)
        if isinstance(block, ConvBlock):
            hook = partial(_of_conv, index, per_image, draw, receive)
            block.conv.register_forward_hook(hook)
        else:
            assert isinstance(block, ConnectedBlock)
            block.connected.register_forward_hook(partial(_of_connected, index, receive))
    n_images = 0
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        for images in shown.batches():
            network(images.to(dtype))
            n_images += len(images)
            advance(n_images, shown.n_images)
    if n_images == 0:
        raise InputError("factorize by images needs some, and the data set gave none")


def _of_conv(
    index: int, per_image: int, draw: torch.Generator, receive: Receive, conv: nn.Conv2d,
    inputs: tuple[Tensor, ...], output: Tensor,
) -> None:  # fmt: skip
    n_places = output.shape[2] * output.shape[3]
    if n_places <= per_image:
        places = torch.arange(n_places)
    else:
        places = torch.randperm(n_places, generator=draw)[:per_image]
    y = output.flatten(2)[:, :, places].transpose(1, 2).flatten(0, 1)  # [B * n, O]
    receive(index, patches(conv, inputs[0], places), _without_bias(y, conv.bias))


def patches(conv: nn.Conv2d, x: Tensor, places: Tensor) -> Tensor:
    """What the kernel reads for the given places of its output, counted row by row: [B * n, C, K]
    of [B, C, H, W]."""
    (k_h, k_w), (pad_h, pad_w) = conv.kernel_size, map(int, conv.padding)
    padded = F.pad(x, (pad_w, pad_w, pad_h, pad_h))
    width = (padded.shape[3] - conv.dilation[1] * (k_w - 1) - 1) // conv.stride[1] + 1
    tops, lefts = places // width * conv.stride[0], places % width * conv.stride[1]
    rows = tops[:, None] + torch.arange(k_h) * conv.dilation[0]  # [n, k]
    columns = lefts[:, None] + torch.arange(k_w) * conv.dilation[1]
    found = padded[:, :, rows[:, :, None], columns[:, None, :]]  # [B, C, n, k, k]
    return found.transpose(1, 2).flatten(3).flatten(0, 1)


def _of_connected(
    index: int, receive: Receive, linear: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    receive(index, inputs[0].flatten(1)[:, :, None], _without_bias(output, linear.bias))


def _without_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y - bias
