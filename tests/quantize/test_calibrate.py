"""Ranges are those of the values seen; grids hold what they must; plans name what runs in INT8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, Maxpool, Upsample, parse
from yolo_slim.errors import InputError
from yolo_slim.precision import Range
from yolo_slim.quantize.calibrate import Observer, quantize
from yolo_slim.quantize.plan import int8_convs, ranged_outputs, same_values
from yolo_slim.weights import network_of
from yolo_slim.zoo import build


def observed(values: torch.Tensor) -> Range:
    observer = Observer(seed=0)
    observer.update(values)
    return observer.range()


@pytest.fixture
def bundle(random_bundle) -> Bundle:
    return random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)


def batches(count: int = 2, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.rand(4, 3, 64, 64, generator=draw) for _ in range(count)]


# --- grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high"), [(0, 6), (-3, 3), (-0.1, 9), (-7, 0), (2, 5), (-5, -2), (0, 0), (-1e-9, 1e-9)]
)
def test_the_unsigned_grid_holds_zero_exactly_and_the_range(low, high):
    scale, zero_point = Range(low, high).unsigned_grid
    assert isinstance(zero_point, int)
    assert 0 <= zero_point <= 255
    grid = (np.arange(256) - zero_point) * scale
    assert 0 in grid
    assert grid[0] <= min(low, 0) + scale / 2 + 1e-12
    assert grid[-1] >= max(high, 0) - scale / 2 - 1e-12


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-3, 3), (-0.1, 9), (-7, 0), (-128, 1)])
def test_the_symmetric_grid_reaches_both_ends(low, high):
    scale = Range(low, high).symmetric_scale
    assert -128 * scale <= low + 1e-9
    assert 127 * scale >= high - 1e-9
    assert min(low + 128 * scale, 127 * scale - high) == pytest.approx(0, abs=1e-9)  # no wider


@pytest.mark.parametrize(("low", "high"), [(1, 0), (float("nan"), 1), (0, float("inf"))])
def test_no_range_of_nonsense(low, high):
    with pytest.raises(ValueError, match="finite low <= high"):
        Range(low, high)


# --- observing ------------------------------------------------------------------------------------


def test_values_that_fill_their_range_are_not_clipped():
    found = observed(torch.linspace(-1, 3, 4096))
    assert (found.low, found.high) == pytest.approx((-1, 3), abs=0.15)


def test_outliers_do_not_stretch_the_grid():
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    values[7], values[8] = 60.0, -60.0
    assert observed(values).high < 30


def test_the_range_is_the_best_of_any_shrinkage():
    """Against a search of its own in numpy over the same kind of candidates."""
    values = torch.randn(4000, generator=torch.Generator().manual_seed(1)) ** 3
    found = observed(values)

    def error(share: float) -> float:
        scale, zero = Range(float(values.min()) * share, float(values.max()) * share).unsigned_grid
        steps = np.clip(np.rint(values.numpy() / scale) + zero, 0, 255)
        return float(np.mean(((steps - zero) * scale - values.numpy()) ** 2))

    share = found.high / float(values.max())
    assert error(share) <= 1.2 * min(error(s) for s in np.linspace(0.3, 1, 60))


def test_what_is_seen_later_counts_too():
    observer = Observer(seed=0)
    observer.update(torch.linspace(0, 1, 4096))
    observer.update(torch.linspace(-4, 4, 4096))
    found = observer.range()
    assert (found.low, found.high) == pytest.approx((-4, 4), abs=0.5)


# --- plans ----------------------------------------------------------------------------------------


def test_all_but_heads_and_gates_run_in_int8():
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
        "[avgpool]\n[convolutional]\nfilters=4\nsize=1\nactivation=logistic\n"
        "[scale_channels]\nfrom=0\n[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0\nanchors=4,4\nclasses=1\n"
    )
    assert int8_convs(cfg) == (0,)
    assert ranged_outputs(cfg) == (0, 3)


def test_quantize_gives_a_folded_bundle_with_a_range_for_all_that_is_read(bundle):
    int8 = quantize(bundle, batches())
    assert int8.is_folded
    assert bundle.precision is None
    precision = int8.precision
    convs = {i for i, s in enumerate(int8.cfg) if isinstance(s, Conv)}
    assert set(precision.convs) == convs - int8.cfg.head_convs
    for index, plan in precision.convs.items():
        section = int8.cfg[index]
        assert isinstance(section, Conv)
        assert len(plan.weight_scales) == section.filters
        kernel = int8.weights[f"{index}.conv.weight"].flatten(1).abs().amax(dim=1)
        assert (kernel <= 127.001 * torch.tensor(plan.weight_scales)).all()  # nothing is clipped
        assert precision.of(int8.cfg.links(index)[0]).high > 0
    assert int8.history[-1].settings == {"images": 8}


def test_what_only_moves_values_has_its_source_s_range(bundle, random_bundle):
    for made in (bundle, random_bundle(build("yolov3-tiny", 2, 64), dtype=torch.float32)):
        precision = quantize(made, batches()).precision
        moved = [i for i, s in enumerate(made.cfg) if isinstance(s, Maxpool | Upsample)]
        assert moved
        for index in moved:
            assert same_values(made.cfg, index) == index - 1
            assert precision.outputs[index] == precision.outputs[index - 1]


def test_ranges_hold_what_the_network_makes(bundle):
    precision = quantize(bundle, batches()).precision
    network = network_of(bundle.cfg, bundle.weights)
    with torch.no_grad():
        _, taps = network.forward_with_taps(torch.cat(batches()), list(precision.outputs))
    for index, found in precision.outputs.items():
        # Never wider than what was seen, and most of it lies inside.
        assert found.low >= min(float(taps[index].min()), 0) - 1e-4
        assert found.high <= max(float(taps[index].max()), 0) + 1e-4
        inside = (taps[index] >= found.low - 1e-5) & (taps[index] <= found.high + 1e-5)
        assert inside.float().mean() > 0.97


def test_calibration_is_the_same_every_time(bundle):
    assert quantize(bundle, batches()).precision == quantize(bundle, batches()).precision
    assert quantize(bundle, batches()).precision != quantize(bundle, batches(seed=1)).precision


def test_progress_counts_images(bundle):
    told: list[int] = []
    quantize(bundle, batches(3), told.append)
    assert told == [4, 8, 12]


def test_ranges_are_never_guessed(bundle):
    with pytest.raises(InputError, match="needs images"):
        quantize(bundle, [])


def test_fake_quantization_is_felt_and_small(bundle):
    int8 = quantize(bundle, batches(4))
    x = batches(1, seed=5)[0]
    with torch.no_grad():
        exact = network_of(int8.cfg, int8.weights)(x)
        rounded = network_of(int8.cfg, int8.weights, int8.precision)(x)
    for a, b in zip(exact, rounded, strict=True):
        assert 0 < (a - b).square().mean().sqrt() < 0.35 * a.std()


def test_a_network_whose_deepest_map_is_one_pixel_can_be_quantized(random_bundle):
    cfg = build("yolov3-nano", 2, 32)
    int8 = quantize(random_bundle(cfg, dtype=torch.float32), [torch.rand(4, 3, 32, 32)])
    with torch.no_grad():
        heads = network_of(int8.cfg, int8.weights, int8.precision)(torch.rand(1, 3, 32, 32))
    assert all(torch.isfinite(head).all() for head in heads)
