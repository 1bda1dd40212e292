"""Post-training quantization: a plan from the cfg, ranges from images, one pass, bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
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
from yolo_slim.quantize.histogram import Histogram
from yolo_slim.quantize.observe import Observed, observe, require_unit
from yolo_slim.quantize.plan import int8_convs, kept_convs
from yolo_slim.quantize.ranges import CALIBRATORS, Calibrator, Find, joined
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.quantize.unlike import unlike_training
from yolo_slim.quantize.weight_scales import rounded, weight_scales
from yolo_slim.weights import Weights

N_EQUALIZED = 4
"""Batches that equalize asks."""


@dataclass(frozen=True)
class FoundRanges:
    """Of the normalised image, of sections' outputs, and of convolutions before their activation:
    section -> range."""

    image: Range
    outputs: dict[int, Range]
    convolved: dict[int, Range]


@dataclass(frozen=True)
class Calibration:
    """A bundle with what images told of it: enough for a plan, whatever stays in float.

    bundle: as it came. folded: what computes the same, its maps equalized. factors: what their
    channels were divided by. seen, ranges: of the folded one, for all that could run in INT8.
    """

    bundle: Bundle
    folded: Bundle
    factors: Factors
    seen: Observed
    ranges: FoundRanges
    settings: QuantizeSettings

    def quantized(self, kept: Collection[int] = ()) -> Bundle:
        """The folded bundle with an INT8 plan. kept: sections that stay in float beside those of
        the settings."""
        folded, image, outputs = self.folded, self.ranges.image, self.ranges.outputs
        settings = replace(
            self.settings, keep_float=tuple(sorted({*self.settings.keep_float, *kept}))
        )
        plans, weights = {}, dict(folded.weights)
        for index in int8_convs(folded.cfg, settings.keep_float):
            link = folded.cfg.links(index)[0]
            read = image if link == IMAGE else outputs[link]
            scales = _scales(folded.weights, index, read, settings)
            if settings.correct_bias:
                weights[f"{index}.conv.bias"] = _corrected(folded, index, scales, self.seen)
            plans[index] = ConvPrecision(tuple(scales.tolist()), self.ranges.convolved[index])
        unlike = unlike_training(self.bundle, self.seen, self.factors)
        result = {} if unlike is None else {"unlike_training": round(unlike, 3)}
        kept_in_float = kept_convs(folded.cfg, settings.keep_float)
        return folded.then(
            "quantize", {"images": self.seen.n_images, **settings.told()}, result=result,
            weights=weights, precision=Precision(image, outputs, plans, kept_in_float),
        )  # fmt: skip


def calibrate(
    bundle: Bundle,
    batches: Iterable[Tensor],
    settings: QuantizeSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Runs a bundle on images, once.

    batches: images [B, channels, H, W] in 0..1, preprocessed as for inference; some hundred
    images are enough. progress: called with the number of images seen so far.

    Raises InputError without any image (ranges are never guessed), for images that are not 0..1,
    for maps that are not finite, and for sections in settings.keep_float that are no convolutions.
    """
    settings = settings or QuantizeSettings()
    int8_convs(bundle.cfg, settings.keep_float)
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
    convs = int8_convs(bundle.cfg)
    seen = observe(folded, convs, batches, progress, reads=settings.correct_bias)
    found = _found_ranges(folded.cfg, seen, settings.calibrator)
    return Calibration(bundle, folded, factors, seen, found, settings)


def quantize(
    bundle: Bundle,
    batches: Iterable[Tensor],
    settings: QuantizeSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Bundle:
    """A folded bundle with an INT8 plan; arguments and errors as of `calibrate`.

    The event's result holds `unlike_training`: see unlike.py.
    """
    return calibrate(bundle, batches, settings, progress).quantized()


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
    fresh = _found_ranges(bundle.cfg, seen, calibrator)
    groups = same_values(bundle.cfg, plan.outputs)
    trained = {
        groups[link]
        for index in range(len(bundle.cfg))
        if reads_int8(bundle.cfg, plan, index)
        for link in bundle.cfg.links(index)
        if link != IMAGE
    }
    outputs = {
        index: known if groups[index] in trained else fresh.outputs[index]
        for index, known in plan.outputs.items()
    }
    convs = {
        index: replace(conv, convolved=fresh.convolved[index]) for index, conv in plan.convs.items()
    }
    return replace(bundle, precision=replace(plan, outputs=outputs, convs=convs))


def _found_ranges(cfg: Cfg, seen: Observed, calibrator: Calibrator) -> FoundRanges:
    find = CALIBRATORS[calibrator]
    return FoundRanges(
        find(seen.image),
        _outputs(cfg, {index: find(values) for index, values in seen.outputs.items()}),
        {index: _convolved(cfg, index, values, find) for index, values in seen.convolved.items()},
    )


def _outputs(cfg: Cfg, found: dict[int, Range]) -> dict[int, Range]:
    """One range for all maps of a group: the one that holds what is computed in it."""
    groups: dict[int, list[int]] = {}
    for index, first in same_values(cfg, found).items():
        groups.setdefault(first, []).append(index)
    outputs: dict[int, Range] = {}
    for members in groups.values():
        computed = [i for i in members if not _only_moves(cfg, i, found)]
        shared = joined([found[index] for index in computed])
        outputs |= {index: shared for index in members}
    return dict(sorted(outputs.items()))


def _only_moves(cfg: Cfg, index: int, found: Collection[int]) -> bool:
    """Whether all that a map holds lies in maps with a range: what a head reads has none."""
    sources = moved_from(cfg, index)
    return bool(sources) and all(source in found for source in sources)


def _convolved(cfg: Cfg, index: int, values: Histogram, find: Find) -> Range:
    """Of a convolution before its activation, which flattens some of it."""
    section = cfg[index]
    assert isinstance(section, Conv)
    function = ACTIVATION_FUNCTIONS[section.activation]
    return find(values, lambda x: function(torch.from_numpy(x)).numpy())


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
