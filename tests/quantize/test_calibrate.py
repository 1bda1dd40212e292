"""Ranges are those of the values seen; grids hold what they must; plans name what runs in INT8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, Maxpool, Route, Upsample, moved_from, parse, same_values
from yolo_slim.errors import InputError
from yolo_slim.precision import Range
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.quantize.calibrate import calibrate, quantize, with_seen_ranges
from yolo_slim.quantize.plan import decide, int8_convs, ranged_outputs
from yolo_slim.quantize.settings import QuantizeSettings
from yolo_slim.quantize.unlike import SUSPICIOUS
from yolo_slim.weights import network_of
from yolo_slim.zoo import build


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


def test_every_decision_has_its_reason():
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=12\nsize=3\npad=1\n"
        "[convolutional]\nfilters=12\ngroups=12\nsize=3\npad=1\n"
        "[convolutional]\nfilters=16\nsize=3\npad=1\n"
        "[convolutional]\nfilters=16\ngroups=16\nsize=3\npad=1\n"
        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0\nanchors=4,4\nclasses=1\n"
    )
    found = decide(cfg, keep_float=(2,))
    assert {i: d.int8 for i, d in found.items()} == {0: True, 1: False, 2: False, 3: True, 4: False}
    assert "no multiple of 8" in found[1].reason
    assert "asked for" in found[2].reason
    assert "head" in found[4].reason
    with pytest.raises(InputError, match=r"section 5 .* is yolo, not a convolution"):
        decide(cfg, keep_float=(5,))


def test_sections_stay_in_float_where_asked(bundle):
    kept = int8_convs(bundle.cfg)[2]
    int8 = quantize(bundle, batches(), QuantizeSettings(keep_float=(kept,)))
    assert kept not in int8.precision.convs
    assert set(int8.precision.convs) == set(int8_convs(bundle.cfg)) - {kept}


@pytest.mark.parametrize("settings", [QuantizeSettings(), QuantizeSettings(correct_bias=True)])
def test_images_are_run_once_whatever_stays_in_float_then(bundle, settings):
    once = calibrate(bundle, iter(batches()), settings)
    for count in (0, 1, 3):
        kept = int8_convs(bundle.cfg)[:count]
        again = quantize(bundle, batches(), replace(settings, keep_float=kept))
        assert once.quantized(kept).precision == again.precision
        weights = once.quantized(kept).weights
        assert all(torch.equal(weights[name], value) for name, value in again.weights.items())


@pytest.mark.parametrize(
    "settings",
    [
        QuantizeSettings(), QuantizeSettings("minmax"), QuantizeSettings("entropy"),
        QuantizeSettings("percentile"),
        QuantizeSettings(weights="mse"), QuantizeSettings(equalize=False),
        QuantizeSettings(correct_bias=True),
    ],
)  # fmt: skip
def test_every_method_stays_near_the_float_network(settings, bundle):
    int8 = quantize(bundle, batches(4), settings)
    x = batches(1, seed=5)[0]
    with torch.no_grad():
        exact = network_of(bundle.cfg, bundle.weights)(x)
        rounded = network_of(int8.cfg, int8.weights, int8.precision)(x)
    for a, b in zip(exact, rounded, strict=True):
        assert 0 < (a - b).square().mean().sqrt() < 0.35 * a.std()


def test_images_that_are_not_0_to_1_are_refused(bundle):
    with pytest.raises(InputError, match=r"from 0 to 255: expected 0\.\.1"):
        quantize(bundle, [torch.tensor([0.0, 255.0]).repeat(6144).view(1, 3, 64, 64)])


def test_where_every_channel_is_silent_nothing_is_said_of_the_pictures(bundle):
    weights = {k: v * 0 if k.endswith("bn.weight") else v for k, v in bundle.weights.items()}
    silent = quantize(replace(bundle, weights=weights), batches(1))
    assert "unlike_training" not in silent.history[-1].result


@pytest.mark.parametrize("equalize", [True, False])
def test_a_network_that_overflows_is_refused(equalize, bundle):
    weights = {k: v * 1e30 if k.endswith("bn.weight") else v for k, v in bundle.weights.items()}
    with pytest.raises(InputError, match=r"section \d+ \[\w+\]: values from .* finite"):
        quantize(replace(bundle, weights=weights), batches(), QuantizeSettings(equalize=equalize))


def test_a_method_that_is_none_is_refused():
    with pytest.raises(InputError, match="--calibrator best: expected one of mse, minmax"):
        QuantizeSettings("best")  # type: ignore[arg-type]


def test_pictures_of_another_kind_are_seen(bundle):
    """The statistics of BatchNorm are those of noise around 0.5; these are nearly black."""
    trained = recalibrate(bundle, batches(8))

    def unlike(images):
        return quantize(trained, images).history[-1].result["unlike_training"]

    assert unlike(batches(4, seed=9)) < SUSPICIOUS
    assert unlike([b / 255 for b in batches(4, seed=9)]) > SUSPICIOUS


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


def test_what_is_moved_or_joined_has_one_scale(bundle, random_bundle):
    """What TensorRT asks for around a concatenation, too."""
    for made in (bundle, random_bundle(build("yolov3-tiny", 2, 64), dtype=torch.float32)):
        outputs = quantize(made, batches()).precision.outputs
        moving = [i for i, s in enumerate(made.cfg) if isinstance(s, Maxpool | Upsample | Route)]
        assert moving
        for index in moving:
            for source in moved_from(made.cfg, index):
                assert outputs[index] == outputs[source]


def test_what_is_computed_anew_has_a_scale_of_its_own():
    cfg = build("yolov3", 2, 64)
    groups = same_values(cfg, ranged_outputs(cfg))
    convs = [i for i, s in enumerate(cfg) if isinstance(s, Conv) and i in groups]
    assert len({groups[i] for i in convs}) > 0.8 * len(convs)


def test_ranges_hold_what_the_network_makes(bundle):
    int8 = quantize(bundle, batches())
    precision, groups = int8.precision, same_values(int8.cfg, int8.precision.outputs)
    network = network_of(int8.cfg, int8.weights)
    with torch.no_grad():
        _, taps = network.forward_with_taps(torch.cat(batches()), list(precision.outputs))
    for index, found in precision.outputs.items():
        # Never wider than what was seen in its group, and most of it lies inside.
        values = torch.cat([taps[i].flatten() for i in taps if groups[i] == groups[index]])
        assert found.low >= min(float(values.min()), 0) - 1e-4
        assert found.high <= max(float(values.max()), 0) + 1e-4
        inside = (taps[index] >= found.low - 1e-5) & (taps[index] <= found.high + 1e-5)
        assert inside.float().mean() > 0.97


def test_calibration_is_the_same_every_time(bundle):
    assert quantize(bundle, batches()).precision == quantize(bundle, batches()).precision
    assert quantize(bundle, batches()).precision != quantize(bundle, batches(seed=1)).precision


def test_progress_counts_images(bundle):
    told: list[int] = []
    quantize(bundle, batches(3), progress=told.append)
    assert told == [4, 8, 12]


def test_ranges_are_never_guessed(bundle):
    with pytest.raises(InputError, match="needs images"):
        quantize(bundle, [])


def test_a_network_whose_deepest_map_is_one_pixel_can_be_quantized(random_bundle):
    cfg = build("yolov3-nano", 2, 32)
    int8 = quantize(random_bundle(cfg, dtype=torch.float32), [torch.rand(4, 3, 32, 32)])
    with torch.no_grad():
        heads = network_of(int8.cfg, int8.weights, int8.precision)(torch.rand(1, 3, 32, 32))
    assert all(torch.isfinite(head).all() for head in heads)


def test_what_a_training_does_not_round_by_is_seen_anew(bundle):
    plan = quantize(bundle, batches())
    changed = list(plan.precision.convs)[4]
    weights = {
        key: 3 * value if key.startswith(f"{changed}.conv.") else value
        for key, value in plan.weights.items()
    }
    fresh = with_seen_ranges(replace(plan, weights=weights), batches()).precision
    before, after = plan.precision.convs[changed].convolved, fresh.convs[changed].convolved
    assert after.high == pytest.approx(3 * before.high, rel=0.05)
    assert fresh.image == plan.precision.image
    # A map that INT8 sections read has the step that was trained; one for a head alone follows.
    network = network_of(plan.cfg, plan.weights, plan.precision)
    read = set(network.grids.scales) - {-1}
    assert all(fresh.outputs[link] == plan.precision.outputs[link] for link in read)
    assert any(fresh.outputs[link] != known for link, known in plan.precision.outputs.items())
