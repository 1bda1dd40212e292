"""Counts are those of the values, whatever the order and size of the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_slim.errors import InputError
from yolo_slim.quantize.histogram import HALF, SAMPLES_PER_BATCH, Histogram


def values(count: int, size: float, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * size


def filled(*batches: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


def test_it_counts_every_value_of_a_small_batch_where_it_lies():
    found = values(3000, 5.0)
    histogram = filled(found)
    assert histogram.counts.sum() == 3000
    assert (histogram.low, histogram.high) == (float(found.min()), float(found.max()))
    edges = np.append(histogram.centres, histogram.width + histogram.width / HALF / 2)
    edges -= histogram.width / HALF / 2
    expected, _ = np.histogram(found.double().numpy(), edges)
    assert np.array_equal(histogram.counts, expected)


def test_the_order_of_batches_plays_no_part():
    small, large = values(500, 0.01, 1), values(500, 40.0, 2)
    one, other = filled(small, large), filled(large, small)
    assert one.width == other.width
    assert np.array_equal(one.counts, other.counts)


def test_memory_is_bounded_and_extremes_are_not_sampled():
    batch = values(1_000_000, 1.0)
    batch[123_456] = 99.0
    histogram = filled(*[batch] * 3)
    assert histogram.counts.shape == (2 * HALF,)
    assert histogram.counts.sum() == 3 * SAMPLES_PER_BATCH
    assert histogram.high == 99.0


@pytest.mark.parametrize("wrong", [float("inf"), -float("inf"), float("nan")])
def test_what_is_not_finite_is_refused_by_name(wrong):
    histogram = Histogram(of="a.cfg:7 [convolutional]")
    with pytest.raises(InputError, match=r"a\.cfg:7 \[convolutional\]: values from .* finite"):
        histogram.add(torch.tensor([0.0, wrong, 1.0]))


def test_zeros_alone_have_a_width():
    histogram = filled(torch.zeros(10))
    assert histogram.width > 0
    assert histogram.counts.sum() == 10
