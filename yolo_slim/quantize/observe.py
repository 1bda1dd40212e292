"""What a network's maps hold on images, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.quantize.histogram import Histogram
from yolo_slim.quantize.plan import ranged_outputs
from yolo_slim.weights import network_of


@dataclass
class Sums:
    """Of a convolution over images: what it reads, as a map, and what it writes, by channel."""

    read: Tensor | None = None
    written: Tensor | None = None

    def add(self, read: Tensor | None, written: Tensor) -> None:
        if read is not None:
            total = read.double().sum(dim=0)
            self.read = total if self.read is None else self.read + total
        of_images = written.double().mean(dim=(2, 3)).sum(dim=0)
        self.written = of_images if self.written is None else self.written + of_images


@dataclass
class Observed:
    """image, outputs, convolved: how the values of the normalised input, of each section's output
    and of each convolution before its activation are spread. sums: of each convolution."""

    n_images: int = 0
    image: Histogram = field(default_factory=Histogram)
    outputs: dict[int, Histogram] = field(default_factory=dict)
    convolved: dict[int, Histogram] = field(default_factory=dict)
    sums: dict[int, Sums] = field(default_factory=dict)

    def mean_read(self, index: int) -> Tensor:
        """float64 [C, H, W]: the mean over images of what convolution `index` reads."""
        read = self.sums[index].read
        assert read is not None
        return read / self.n_images

    def mean_written(self, index: int) -> Tensor:
        """float64 [filters]: the mean of what convolution `index` writes before its activation."""
        written = self.sums[index].written
        assert written is not None
        return written / self.n_images


def observe(
    bundle: Bundle,
    convs: Iterable[int],
    batches: Iterable[Tensor],
    progress: Callable[[int], None] | None = None,
    reads: bool = False,
) -> Observed:
    """Runs a folded bundle on images [B, channels, H, W], 0..1.

    convs: the convolutions that are looked into. reads: keep the mean of what they read, too.
    progress: called with the number of images seen so far.
    Raises InputError without any image, for images that are not 0..1, and for maps not finite.
    """
    network = network_of(bundle.cfg, bundle.weights)
    found = Observed()
    for index in convs:
        found.convolved[index] = Histogram(index + 1, bundle.cfg.where(index))
        found.sums[index] = Sums()
        conv = network.get_submodule(f"{index}.conv")
        conv.register_forward_hook(_hook(found.convolved[index], found.sums[index], reads))
    taps = ranged_outputs(bundle.cfg)
    found.outputs = {index: Histogram(index + 1, bundle.cfg.where(index)) for index in taps}
    with torch.inference_mode():
        for images in batches:
            require_unit(images)
            _, outputs = network.forward_with_taps(images, taps)
            found.image.add(network.normalise(images))
            for index, output in outputs.items():
                found.outputs[index].add(output)
            found.n_images += len(images)
            if progress is not None:
                progress(found.n_images)
    if found.n_images == 0:
        raise InputError("quantize needs images to calibrate on, and the data set gave none")
    return found


def _hook(histogram: Histogram, sums: Sums, reads: bool) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        histogram.add(output)
        sums.add(inputs[0] if reads else None, output)

    return hook


def require_unit(images: Tensor) -> None:
    """Raises InputError for images that are not 0..1."""
    low, high = (float(x) for x in torch.aminmax(images))
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"images to calibrate on hold values from {low:g} to {high:g}: expected 0..1, as the "
            "network takes them; [net]'s mean and std are applied inside"
        )
