"""Post-training quantization: ranges from images, one pass, bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import IMAGE
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.precision import ConvPrecision, Precision, Range
from yolo_slim.quantize.plan import int8_convs, ranged_outputs, same_values
from yolo_slim.weights import network_of

SAMPLES_PER_BATCH = 4096
MAX_SAMPLES = 1 << 18
INT32_BIAS_LIMIT = float(1 << 30)


class Observer:
    """Extremes of a tensor over all batches, and a random sample of its values."""

    def __init__(self, seed: int) -> None:
        self.low, self.high = 0.0, 0.0
        self.samples: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def update(self, values: Tensor) -> None:
        values = values.detach().flatten()
        low, high = torch.aminmax(values)
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        if sum(map(len, self.samples)) < MAX_SAMPLES:
            picked = torch.randint(len(values), (SAMPLES_PER_BATCH,), generator=self.generator)
            self.samples.append(values[picked].float())

    def range(self) -> Range:
        """The shrunk extremes whose 255-step grid has the least mean squared error."""
        values = torch.cat(self.samples)
        best_error, best = float("inf"), Range(self.low, self.high)
        for share in torch.linspace(0.3, 1.0, 29).tolist():
            candidate = Range(self.low * share, self.high * share)
            scale, zero_point = candidate.unsigned_grid
            rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, 0, 255)
            error = float((rounded - values).square().mean())
            if error <= best_error:  # of equals the widest: it clips least
                best_error, best = error, candidate
        return best


def quantize(
    bundle: Bundle, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None
) -> Bundle:
    """A folded bundle with an INT8 plan.

    batches: images [B, channels, H, W] in 0..1, preprocessed as for inference; some hundred
    images are enough. progress: called with the number of images seen so far.

    Raises InputError without any image: ranges are never guessed.
    """
    folded = fold_batchnorm(bundle)
    observers, n_images = _observe(folded, batches, progress)
    ranges = {key: observer.range() for key, observer in observers.items()}
    outputs: dict[int, Range] = {}
    for index in ranged_outputs(folded.cfg):
        moved = same_values(folded.cfg, index)
        outputs[index] = (
            ranges["output", index]
            if moved is None
            else outputs.get(moved, ranges["output", index])
        )
    image = ranges["output", IMAGE]
    convs = {}
    for index in int8_convs(folded.cfg):
        link = folded.cfg.links(index)[0]
        read = image if link == IMAGE else outputs[link]
        convs[index] = ConvPrecision(
            _weight_scales(folded, index, read), ranges["convolved", index]
        )
    precision = Precision(image, outputs, convs)
    return folded.then("quantize", {"images": n_images}, precision=precision)


def _observe(
    bundle: Bundle, batches: Iterable[Tensor], progress: Callable[[int], None] | None
) -> tuple[dict[tuple[str, int], Observer], int]:
    network = network_of(bundle.cfg, bundle.weights)
    observers: dict[tuple[str, int], Observer] = {}

    def observe(key: tuple[str, int], values: Tensor) -> None:
        observers.setdefault(key, Observer(seed=key[1] + 1)).update(values)

    for index in int8_convs(bundle.cfg):
        conv = network.get_submodule(f"{index}.conv")
        conv.register_forward_hook(partial(_hook, observe, ("convolved", index)))
    taps = ranged_outputs(bundle.cfg)
    n_images = 0
    with torch.inference_mode():
        for images in batches:
            _, outputs = network.forward_with_taps(images, taps)
            observe(("output", IMAGE), network.normalise(images))
            for index, output in outputs.items():
                observe(("output", index), output)
            n_images += len(images)
            if progress is not None:
                progress(n_images)
    if n_images == 0:
        raise InputError("quantize needs images to calibrate on, and the data set gave none")
    return observers, n_images


def _hook(
    observe: Callable[[tuple[str, int], Tensor], None],
    key: tuple[str, int],
    module: torch.nn.Module,
    inputs: tuple[Tensor, ...],
    output: Tensor,
) -> None:
    observe(key, output)


def _weight_scales(bundle: Bundle, index: int, read: Range) -> tuple[float, ...]:
    """Largest |kernel| / 127 a channel, raised where the bias would overflow its int32 steps."""
    kernel = bundle.weights[f"{index}.conv.weight"].flatten(1).abs().amax(dim=1) / 127
    bias = bundle.weights[f"{index}.conv.bias"].abs()
    input_scale = min(read.unsigned_grid[0], read.symmetric_scale)
    least = (bias / (input_scale * INT32_BIAS_LIMIT)).clamp(min=1e-10)
    return tuple(torch.maximum(kernel, least).tolist())
