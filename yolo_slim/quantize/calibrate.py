"""Post-training quantization: a plan from the cfg, ranges from images, one pass, bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain, islice

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import IMAGE, Cfg, Conv, moved_from, same_values
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.nn.network import reads_int8
from yolo_slim.precision import ConvPrecision, Precision, Range
from yolo_slim.quantize.bias_correction import shift_of
from yolo_slim.quantize.equalize import Factors, equalized, equalizing
from yolo_slim.quantize.observe import Observed, observe, require_unit
from yolo_slim.quantize.plan import int8_convs, kept_convs
from yolo_slim.quantize.ranges import CALIBRATORS, Calibrator, Find, joined
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.quantize.unlike import unlike_training
from yolo_slim.quantize.weight_scales import rounded, weight_scales
from yolo_slim.weights import Weights

N_EQUALIZED = 4
"""Batches that equalize asks."""


def quantize(
    bundle: Bundle,
    batches: Iterable[Tensor],
    settings: QuantizeSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Bundle:
    """A folded bundle with an INT8 plan.

    batches: images [B, channels, H, W] in 0..1, preprocessed as for inference; some hundred
    images are enough. progress: called with the number of images seen so far.

    The event's result holds `unlike_training`: see unlike.py.
    Raises InputError without any image (ranges are never guessed), for images that are not 0..1,
    and for sections in settings.keep_float that are no convolutions.
    """
    settings = settings or QuantizeSettings()
    convs = int8_convs(bundle.cfg, settings.keep_float)
    folded = fold_batchnorm(bundle)
    factors: Factors = {}
    if settings.equalize:
        rest = iter(batches)
        some = list(islice(rest, N_EQUALIZED))
        batches = chain(some, rest)
        if some:
            require_unit(some[0])
            factors = equalizing(folded, some)
            folded = equalized(folded, factors)
    seen = observe(folded, convs, batches, progress, reads=settings.correct_bias)
    find = CALIBRATORS[settings.calibrator]
    image = find(seen.image)
    outputs = _outputs(folded.cfg, {index: find(h) for index, h in seen.outputs.items()})
    plans, weights = {}, dict(folded.weights)
    for index in convs:
        link = folded.cfg.links(index)[0]
        read = image if link == IMAGE else outputs[link]
        scales = _scales(folded.weights, index, read, settings)
        if settings.correct_bias:
            weights[f"{index}.conv.bias"] = _corrected(folded, index, scales, seen)
        convolved = _convolved(folded.cfg, index, seen, find)
        plans[index] = ConvPrecision(tuple(scales.tolist()), convolved)
    unlike = unlike_training(bundle, seen, factors)
    result = {} if unlike is None else {"unlike_training": round(unlike, 3)}
    return folded.then(
        "quantize", {"images": seen.n_images, **settings.told()}, result=result, weights=weights,
        precision=Precision(image, outputs, plans, kept_convs(bundle.cfg, settings.keep_float)),
    )  # fmt: skip


def with_seen_ranges(
    bundle: Bundle,
    batches: Iterable[Tensor],
    calibrator: Calibrator = "mse",
    progress: Callable[[int], None] | None = None,
) -> Bundle:
    """A quantized bundle whose kernels were trained since: ranges that the training did not round
    by, before an activation and of maps that only floats read, are found anew on images.

    The others are part of what was trained. See `quantize` for the arguments.
    """
    plan = bundle.precision
    if plan is None:
        raise InputError(f"{bundle.cfg.source} has no INT8 plan: quantize it first")
    seen = observe(bundle, plan.convs, batches, progress)
    find = CALIBRATORS[calibrator]
    groups = same_values(bundle.cfg, plan.outputs)
    trained = {
        groups[link]
        for index in range(len(bundle.cfg))
        if reads_int8(bundle.cfg, plan, index)
        for link in bundle.cfg.links(index)
        if link != IMAGE
    }
    fresh = _outputs(bundle.cfg, {index: find(h) for index, h in seen.outputs.items()})
    outputs = {
        index: known if groups[index] in trained else fresh[index]
        for index, known in plan.outputs.items()
    }
    convs = {
        index: replace(conv, convolved=_convolved(bundle.cfg, index, seen, find))
        for index, conv in plan.convs.items()
    }
    return replace(bundle, precision=replace(plan, outputs=outputs, convs=convs))


def _outputs(cfg: Cfg, found: dict[int, Range]) -> dict[int, Range]:
    """One range for all maps of a group: the one that holds what is computed in it."""
    groups: dict[int, list[int]] = {}
    for index, first in same_values(cfg, found).items():
        groups.setdefault(first, []).append(index)
    outputs: dict[int, Range] = {}
    for members in groups.values():
        computed = [i for i in members if not any(s in found for s in moved_from(cfg, i))]
        shared = joined([found[index] for index in computed])
        outputs |= {index: shared for index in members}
    return dict(sorted(outputs.items()))


def _convolved(cfg: Cfg, index: int, seen: Observed, find: Find) -> Range:
    """Of a convolution before its activation, which flattens some of it."""
    section = cfg[index]
    assert isinstance(section, Conv)
    function = ACTIVATION_FUNCTIONS[section.activation]
    return find(seen.convolved[index], lambda values: function(torch.from_numpy(values)).numpy())


def _scales(weights: Weights, index: int, read: Range, settings: QuantizeSettings) -> Tensor:
    input_scale = min(read.unsigned_grid[0], read.symmetric_scale)
    kernel, bias = (weights[f"{index}.conv.{name}"] for name in ("weight", "bias"))
    return weight_scales(kernel, bias, input_scale, settings.weights)


def _corrected(bundle: Bundle, index: int, scales: Tensor, seen: Observed) -> Tensor:
    section, kernel = bundle.cfg[index], bundle.weights[f"{index}.conv.weight"]
    assert isinstance(section, Conv)
    shift = shift_of(section, kernel, rounded(kernel, scales), seen.mean_read(index))
    bias = bundle.weights[f"{index}.conv.bias"]
    return (bias.double() - shift).to(bias)
