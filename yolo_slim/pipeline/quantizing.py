"""From a bundle to its INT8 plan: calibration, and which convolutions had better stay in float."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from yolo_slim.bundle import Bundle, Event
from yolo_slim.cfg import measure
from yolo_slim.console import percent
from yolo_slim.data.dataset import Dataset
from yolo_slim.distill.outputs import match_heads
from yolo_slim.errors import InputError
from yolo_slim.pipeline.quantize_options import QuantizeOptions
from yolo_slim.pipeline.scoring import (
    input_batches,
    require_boxes,
    require_heads,
    score_bundle,
)
from yolo_slim.precision import Precision
from yolo_slim.quantize.calibrate import calibrate, with_seen_ranges
from yolo_slim.quantize.plan import decide
from yolo_slim.quantize.sensitivity import Sensitivity, sensitivity
from yolo_slim.quantize.unlike import SUSPICIOUS

FEW_IMAGES = 16
N_ASKED = 8
"""Images that sensitivity is measured on."""

GOOD_ENOUGH = 0.01
"""Error of the outputs, as a share of their variance, below which 'auto' looks no further."""

WORTHWHILE = 0.02
"""What one convolution has to make of the error for 'auto' to leave it in float."""

LEAST_INT8, CHEAP = 0.9, 0.02
"""Shares of all MACs: 'auto' keeps the first in INT8, and may leave the second in float anyhow."""

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Quantized:
    """What a quantize step came to. warnings: what speaks against its ranges. sensitivity: where
    it was asked for. float_ap, ap: on the validation images, where a drop was bounded."""

    bundle: Bundle
    warnings: tuple[str, ...] = ()
    sensitivity: Sensitivity | None = None
    float_ap: float | None = None
    ap: float | None = None

    @property
    def precision(self) -> Precision:
        assert self.bundle.precision is not None
        return self.bundle.precision


def int8_share(bundle: Bundle) -> float:
    """Of the MACs of a quantized bundle's convolutions, those that run in INT8; 0..1."""
    assert bundle.precision is not None
    macs = {cost.index: cost.macs for cost in measure(bundle.cfg)}
    return sum(macs[index] for index in bundle.precision.convs) / max(1, sum(macs.values()))


def require_teachable(bundle: Bundle, teacher: Bundle | None) -> None:
    """Raises InputError for a bundle that cannot be trained with its rounding, and for a teacher
    whose answers it cannot learn."""
    bundle.cfg.require_yolos()
    if teacher is None:
        return
    try:
        match_heads(bundle.cfg, teacher.cfg)
    except InputError as error:
        raise InputError(f"{error}. Without a teacher (none) it learns from labels") from None


def run_quantize(
    bundle: Bundle,
    options: QuantizeOptions,
    train_data: Dataset,
    val_data: Dataset | None,
    progress: Progress,
    seed: int = 0,
    tell_sensitivity: bool = False,
) -> Quantized:
    """Calibrates on training images; see QuantizeOptions.

    val_data: what max_ap_drop is measured on. tell_sensitivity: measure it in any case.
    Raises InputError for what cannot be, before it is done.
    """
    if bundle.precision is not None:
        raise InputError(
            f"{bundle.cfg.source} has an INT8 plan already: quantize the float bundle that it was "
            "made of"
        )
    decide(bundle.cfg, options.keep_sections)
    float_ap = None
    if options.max_ap_drop is not None:
        float_ap = _float_ap(bundle, val_data, progress)
    n_images = min(options.images, len(train_data.samples))
    batches = input_batches(train_data, bundle.cfg, n_images, seed)
    with progress("calibrate") as advance:
        known = calibrate(bundle, batches, options.settings(), lambda done: advance(done, n_images))
    first = known.quantized()
    warnings = (*_other_classes(bundle, train_data), *_warnings(first, n_images))
    if float_ap == 0:
        warnings += ("the float model's AP is 0: there is nothing that max_ap_drop could keep",)
    auto = options.keep_float == "auto" and float_ap is None
    asks = bool(options.keep_float) or float_ap is not None
    if not (asks or tell_sensitivity):
        return Quantized(first, warnings)
    some = list(input_batches(train_data, bundle.cfg, min(N_ASKED, n_images), seed))
    looks_above = GOOD_ENOUGH if auto and not tell_sensitivity else 0.0
    with progress("sensitivity") as advance:
        found = sensitivity(first, some, advance, looks_above)
    if auto:
        done = known.quantized(_worth_float(first, found))
        return Quantized(done, warnings, found if found.without else None)
    order = list(found.gains())
    n_kept = 0 if options.keep_float == "auto" else min(options.keep_float, len(order))
    if float_ap is None or options.max_ap_drop is None:
        return Quantized(known.quantized(order[:n_kept]), warnings, found)
    assert val_data is not None
    n_kept = _fewest(first, order, n_kept, float_ap - options.max_ap_drop, val_data, progress)
    done = known.quantized(order[:n_kept])
    ap = _ap(done, done.precision, val_data, progress, "AP in INT8")
    return Quantized(done, warnings, found, float_ap, ap)


def after_training(
    bundle: Bundle, options: QuantizeOptions, train_data: Dataset, progress: Progress, seed: int = 0
) -> Bundle:
    """The bundle of a quantization-aware training, with ranges for what it did not round by."""
    n_images = min(options.images, len(train_data.samples))
    batches = input_batches(train_data, bundle.cfg, n_images, seed)
    with progress("ranges of what was trained") as advance:
        return with_seen_ranges(
            bundle, batches, options.calibrator, lambda done: advance(done, n_images)
        )


def _worth_float(bundle: Bundle, found: Sensitivity) -> tuple[int, ...]:
    """What saves most error a MAC first, until the error that is left is good enough: what single
    convolutions make of it adds up, nearly."""
    macs = {cost.index: cost.macs for cost in measure(bundle.cfg)}
    left = max(int8_share(bundle) - LEAST_INT8, CHEAP) * sum(macs.values())
    gains = {index: gain for index, gain in found.gains().items() if gain >= WORTHWHILE}
    error, kept = found.whole, []
    for index in sorted(gains, key=lambda index: -gains[index] / macs[index]):
        if error <= GOOD_ENOUGH:
            break
        if macs[index] <= left:
            left -= macs[index]
            error -= gains[index] * found.whole
            kept.append(index)
    return tuple(kept)


def _other_classes(bundle: Bundle, data: Dataset) -> tuple[str, ...]:
    n_theirs, n_ours = len(data.class_names), bundle.cfg.n_classes
    if n_theirs in (0, n_ours) or not bundle.cfg.heads:
        return ()
    return (
        f"{data.source} has {n_theirs} classes and the model {n_ours}: ranges are those of "
        "pictures like these. Are they what the model will see?",
    )


def _warnings(quantized: Bundle, n_images: int) -> tuple[str, ...]:
    found = []
    if n_images < FEW_IMAGES:
        found.append(f"{n_images} images are few to find ranges on: some hundred are enough")
    unlike = quantized.history[-1].result.get("unlike_training", 0.0)
    if unlike > SUSPICIOUS:
        found.append(
            f"the images are not like those of the training: means of channels are off by "
            f"{unlike:.2f} standard deviations (below {SUSPICIOUS} is usual). Are they of another "
            "kind, or prepared in another way ([net] mean, std)?"
        )
    return tuple(found)


def _float_ap(bundle: Bundle, val_data: Dataset | None, progress: Progress) -> float:
    """What a drop is measured from; raises InputError where there is nothing to measure."""
    require_heads(bundle.cfg)
    if val_data is None:
        raise InputError("--max-ap-drop needs validation images: name a --data FILE with val")
    require_boxes(val_data)
    return _ap(bundle, None, val_data, progress, "AP in float")


def _fewest(
    bundle: Bundle, order: list[int], at_least: int, least_ap: float, val_data: Dataset,
    progress: Progress,
) -> int:  # fmt: skip
    """How many of `order` have to stay in float for AP to be `least_ap`: by halving, as if every
    further one helped. Raises InputError where all of them are not enough."""
    plan = bundle.precision
    assert plan is not None

    def enough(count: int) -> bool:
        text = f"AP with {count} in float"
        return _ap(bundle, plan.without(order[:count]), val_data, progress, text) >= least_ap

    if enough(at_least):
        return at_least
    low, high = at_least, len(order)
    if not enough(high):
        raise InputError(
            f"--max-ap-drop: AP {least_ap:.4f} is not reached with all convolutions in float "
            "either, where sums of branches alone are rounded; allow a larger drop"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _ap(
    bundle: Bundle, plan: Precision | None, val_data: Dataset, progress: Progress, text: str
) -> float:
    with progress(text) as advance:
        return score_bundle(replace(bundle, precision=plan), val_data, advance)["AP"]


def quantize_document(quantized: Quantized) -> dict[str, object]:
    """For --json: every convolution with its decision, and what was measured."""
    bundle = quantized.bundle
    kept = quantize_event(bundle).settings.get("keep_float", ())
    gains = quantized.sensitivity.gains() if quantized.sensitivity else {}
    return {
        "int8_share_of_macs": int8_share(bundle),
        "convolutions": [
            {
                "index": index, "int8": decision.int8, "reason": decision.reason,
                "error_share": gains.get(index),
            }
            for index, decision in decide(bundle.cfg, kept).items()
        ],
        "float_AP": quantized.float_ap,
        "AP": quantized.ap,
        "warnings": list(quantized.warnings),
    }  # fmt: skip


def quantize_event(bundle: Bundle) -> Event:
    """What was asked of a quantized bundle's plan; a training may have followed."""
    return next(e for e in reversed(bundle.history) if e.verb == "quantize")


def told_share(bundle: Bundle) -> str:
    """'59 convolutions in INT8, 98 % of the MACs'."""
    assert bundle.precision is not None
    n_convs = len(bundle.precision.convs)
    return f"{n_convs} convolutions in INT8, {percent(int8_share(bundle))} of the MACs"
