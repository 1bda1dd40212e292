"""Calibrators against searches of their own, and against another program's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnxruntime.quantization.calibrate import HistogramCollector
from scipy.stats import entropy as kl_divergence

from yolo_slim.precision import Range
from yolo_slim.quantize.histogram import HALF, Histogram
from yolo_slim.quantize.ranges import CALIBRATORS, entropy, joined, minmax, mse, percentile


def drawn(kind: str, count: int = 16_000) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    normal = torch.randn(count, generator=draw)
    return {
        "normal": normal,
        "heavy": normal**3,
        "relu": normal.clamp(min=0),
        "leaky": torch.nn.functional.leaky_relu(normal * 4, 0.1),
        "below": -normal.abs() - 1,
    }[kind]


def spread(values: torch.Tensor) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


KINDS = ["normal", "heavy", "relu", "leaky", "below"]


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_range_is_wider_than_what_was_seen(kind, calibrator):
    values = drawn(kind)
    found = CALIBRATORS[calibrator](spread(values))
    assert min(float(values.min()), 0) <= found.low <= found.high <= max(float(values.max()), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_minmax_clips_nothing(kind):
    values = drawn(kind)
    found = minmax(spread(values))
    assert (values >= found.low).all() and (values <= found.high).all()


@pytest.mark.parametrize("kind", KINDS)
def test_percentile_is_that_of_the_sizes(kind):
    values = drawn(kind)
    found = percentile(spread(values), percent=99.0)
    expected = float(np.quantile(values.abs().numpy(), 0.99))
    reached = max(-found.low, found.high)
    assert reached == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("kind", ["normal", "heavy", "relu", "leaky"])
def test_mse_is_as_good_as_any_pair_of_ends(kind):
    values = drawn(kind).numpy()

    def error(low: float, high: float) -> float:
        scale, zero = Range(low, high).unsigned_grid
        steps = np.clip(np.rint(values / scale) + zero, 0, 255)
        return float(np.mean(((steps - zero) * scale - values) ** 2))

    found = mse(spread(drawn(kind)))
    low, high = min(float(values.min()), 0.0), float(values.max())
    best = min(
        error(low * a, high * b) for a in np.linspace(0.1, 1, 19) for b in np.linspace(0.1, 1, 37)
    )
    assert error(found.low, found.high) <= 1.1 * best


def test_what_an_activation_flattens_may_be_wrong():
    values = drawn("normal") * 3 - 1

    def leaky(x):
        return np.where(x > 0, x, 0.1 * x)

    plain, knowing = mse(spread(values)), mse(spread(values), leaky)
    assert knowing.low > plain.low

    def error(found: Range) -> float:
        scale, zero = found.unsigned_grid
        steps = np.clip(np.rint(values.numpy() / scale) + zero, 0, 255)
        return float(np.mean((leaky((steps - zero) * scale) - leaky(values.numpy())) ** 2))

    assert error(knowing) < error(plain)


@pytest.mark.parametrize(
    "kind", ["heavy", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("normal", "leaky"))]
)
def test_entropy_is_near_onnx_runtime_s(kind):
    """Its collector follows the same paper, with other bins: by the objective itself, see below."""
    values = drawn(kind, 200_000).numpy()
    size = float(np.abs(values).max())
    counts, edges = np.histogram(values, bins=4095, range=(-size, size))
    collector = HistogramCollector(
        method="entropy", symmetric=True, num_bins=4095, num_quantized_bins=255, percentile=99.99,
        scenario="same",
    )  # fmt: skip
    theirs = collector.get_entropy_threshold((counts, edges, -size, size, size), 255)
    histogram = Histogram()
    for part in torch.from_numpy(values).split(16_000):
        histogram.add(part)
    ours = entropy(histogram)
    assert 0.5 < max(-ours.low, ours.high) / float(theirs[1]) < 2


def test_entropy_has_the_least_divergence_of_all_clips():
    """Against scipy's divergence, one level after the other."""
    histogram = spread(drawn("heavy"))
    sizes = (histogram.counts[HALF:] + histogram.counts[:HALF][::-1]).reshape(2048, -1).sum(axis=1)
    sizes[0] = 0

    def divergence(end: int) -> float:
        clipped, rounded = sizes[:end].copy(), np.zeros(end)
        clipped[-1] += sizes[end:].sum()
        for level in range(128):
            inside = [k for k in range(end) if k * 128 // end == level]
            held = [k for k in inside if sizes[k] > 0]
            for k in held:
                rounded[k] = sizes[inside].sum() / len(held)
        return float(kl_divergence(clipped, np.where(rounded > 0, rounded, 1e-12)))

    last = int(np.nonzero(sizes)[0][-1]) + 1
    found = entropy(histogram)
    end = round(max(-found.low, found.high) * 2048 / histogram.width)
    others = [divergence(e) for e in range(128, last, 104)]
    assert divergence(min(end, last)) <= min(others) + 1e-6


def test_nothing_but_zeros_has_a_range():
    for find in CALIBRATORS.values():
        assert find(spread(torch.zeros(100))) == Range(0, 0)


def test_a_joined_range_holds_all():
    assert joined([Range(-1, 2), Range(0, 5), Range(-3, 1)]) == Range(-3, 5)
