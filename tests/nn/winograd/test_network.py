"""A whole network by tiles computes what it did, and only what can run so runs so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_zoo import COMPUTED
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, parse, suits_winograd, totals
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.winograd.network import WinogradBlock, tiles_of, winograd
from yolo_slim.prune.cut import take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.session import TorchSession
from yolo_slim.weights import network_of, weights_of
from yolo_slim.zoo import build


def assert_same(bundle: Bundle, tile, tolerance: float) -> None:
    folded = fold_batchnorm(bundle)
    network = network_of(folded.cfg, folded.weights, folded.precision)
    dtype = next(iter(folded.weights.values())).dtype
    height, width = bundle.cfg.input_hw
    images = torch.rand(2, bundle.cfg.net.channels, height, width, dtype=dtype)
    with torch.no_grad():
        direct, by_tiles = network(images), winograd(network, tile)(images)
    for a, b in zip(direct, by_tiles, strict=True):
        assert a.std() > 1e-3
        assert (a - b).abs().max() <= tolerance * max(1.0, a.abs().max())


@pytest.mark.parametrize(
    ("name", "tile"),
    [("yolov3-tiny", 4), ("yolov3-nano", 2), ("yolov3-nano", 4), ("yolov3-nano", 6)],
)
def test_networks_compute_what_they_did(name, tile, random_bundle):
    assert_same(random_bundle(build(name, 2, 64)), tile, 1e-10)


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_networks_of_every_section_do_too(name, random_bundle):
    assert_same(random_bundle(SMALL_NETWORKS[name]()), 4, 1e-10)


@pytest.mark.parametrize(("tile", "tolerance"), [(2, 1e-4), (4, 1e-3), (6, 1e-3)])
def test_in_float32(tile, tolerance, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 96), dtype=torch.float32)
    assert_same(bundle, tile, tolerance)


def test_a_pruned_network(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    slim = take(bundle, plan_ratio(bundle, 0.6))
    assert totals(slim.cfg).macs < totals(bundle.cfg).macs / 2
    assert_same(slim, 4, 1e-10)


def test_without_folding(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    network = network_of(bundle.cfg, bundle.weights)
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        direct, by_tiles = network(images), winograd(network, 2)(images)
    for a, b in zip(direct, by_tiles, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_the_tensors_are_shared_under_the_same_names(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    network = network_of(bundle.cfg, bundle.weights)
    twin = winograd(winograd(network, 2), 4)
    assert weights_of(twin).keys() == bundle.weights.keys()
    assert [p.data_ptr() for p in twin.parameters()] == [p.data_ptr() for p in network.parameters()]
    assert not any(isinstance(m, WinogradBlock) for m in network.modules())
    assert not twin.training


def test_gradients_are_the_network_s_own(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    network = network_of(bundle.cfg, bundle.weights)
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    maps = [of(images) for of in (network, winograd(network, 4))]
    assert all(torch.equal(a, b) for a, b in zip(*maps, strict=True))
    assert maps[1][0].requires_grad


CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=relu\n"
OTHERS = {
    "stride": CONV + "stride=2\n",
    "dilation": CONV + "dilation=2\n",
    "groups": CONV + "groups=2\n",
    "xnor": CONV + "xnor=1\n",
    "shared": CONV + "share_index=0\n",
    "1x1": CONV.replace("size=3", "size=1"),
    "5x5": CONV.replace("size=3", "size=5"),
    "stride in one direction": CONV + "stride_x=2\n",
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_it_does_not_suit_is_left_alone(other):
    cfg = parse(f"[net]\nwidth=16\nheight=16\nchannels=4\n{CONV}{OTHERS[other]}")
    assert [suits_winograd(section) for section in cfg] == [True, False]
    assert tiles_of(cfg, None, 4) == {0: 4}


def test_a_network_that_it_never_suits_is_refused():
    cfg = parse(f"[net]\nwidth=16\nheight=16\nchannels=4\n{OTHERS['groups']}", "mine.cfg")
    with pytest.raises(InputError, match=r"mine\.cfg: no section can run by Winograd's algorithm"):
        tiles_of(cfg, None, 2)


def test_int8_sections_stay_int8(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    int8 = quantize(bundle, [torch.rand(2, 3, 64, 64)])
    assert int8.precision is not None
    with pytest.raises(InputError, match="INT8"):
        winograd(network_of(int8.cfg, int8.weights, int8.precision), 4)
    # One that runs in float is taken, and the others still round as they did.
    first = next(i for i, section in enumerate(int8.cfg) if suits_winograd(section))
    convs = {i: conv for i, conv in int8.precision.convs.items() if i != first}
    partly = replace(int8.precision, convs=convs)
    assert tiles_of(int8.cfg, partly, 4) == {first: 4}
    assert_same(replace(int8, precision=partly), 4, 0.05)


def test_auto_takes_what_pays():
    cfg = build("yolov3")
    tiles = tiles_of(cfg, None, "auto")
    able = [index for index, section in enumerate(cfg) if suits_winograd(section)]
    assert able[0] == 0 and 0 not in tiles  # 3 channels: the transforms would be most of it
    assert len(tiles) >= len(able) - 3
    assert set(tiles.values()) == {4}


@pytest.mark.parametrize("name", COMPUTED)
def test_auto_is_one_of_the_tiles_or_none(name):
    cfg = build(name, 2, 96)
    for index, tile in tiles_of(cfg, None, "auto").items():
        assert tile in (2, 4)
        assert isinstance(cfg[index], Conv)


def test_a_session_by_tiles(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    images = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    threads = torch.get_num_threads()
    maps = [TorchSession(bundle, threads, tile).run(images) for tile in (None, 2, "auto")]
    for direct, two, auto in zip(*maps, strict=True):
        np.testing.assert_allclose(two, direct, rtol=0, atol=1e-4 * np.abs(direct).max())
        np.testing.assert_allclose(auto, direct, rtol=0, atol=1e-3 * np.abs(direct).max())
