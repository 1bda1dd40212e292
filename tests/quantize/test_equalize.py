"""Equalized networks compute the same; maps gain."""

from __future__ import annotations

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, parse
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.quantize.equalize import equalized, equalizing, pairs
from yolo_slim.weights import network_of
from yolo_slim.zoo import build


def images(size: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, size, size, generator=draw, dtype=torch.float64)


def equalize(bundle: Bundle, batches: list[torch.Tensor]) -> Bundle:
    return equalized(bundle, equalizing(bundle, batches))


@pytest.mark.parametrize(
    "name",
    [
        "yolov3-tiny",
        "yolov3-tiny-mobilenetv1-1.0",
        "yolov3-tiny-mobilenetv2",
        "yolov3-tiny-ghostnet",
    ],
)
def test_the_function_stays(name, random_bundle):
    bundle = fold_batchnorm(random_bundle(build(name, 2, 64)))
    assert pairs(bundle.cfg)
    equal = equalize(bundle, [images(64)])
    for seed in (0, 7):
        with torch.no_grad():
            before = network_of(bundle.cfg, bundle.weights)(images(64, seed))
            after = network_of(equal.cfg, equal.weights)(images(64, seed))
        for a, b in zip(before, after, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(a.abs().max()))


def test_channels_before_a_depthwise_reader_get_one_range(random_bundle):
    bundle = fold_batchnorm(random_bundle(build("yolov3-tiny-mobilenetv1-1.0", 2, 64)))
    found = [
        (first, second)
        for first, second in pairs(bundle.cfg)
        if bundle.cfg[second].groups > 1 and bundle.cfg[first].filters > 8
    ]
    assert found
    equal = equalize(bundle, [images(64)])
    network = network_of(equal.cfg, equal.weights)
    with torch.no_grad():
        _, maps = network.forward_with_taps(images(64), [first for first, _ in found])
    for values in maps.values():
        sizes = values.abs().amax(dim=(2, 3)).mean(dim=0)
        alive = sizes[sizes > 0]
        assert float(alive.max() / alive.min()) == pytest.approx(1, rel=1e-6)


def test_what_two_read_is_left_alone():
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n"
        "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"  # 0: read by 1 and 2
        "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nactivation=linear\n"
        "[convolutional]\nfilters=4\nsize=1\nactivation=swish\n"  # 3: its activation bends
        "[convolutional]\nfilters=8\nsize=1\nactivation=relu\n"  # 4 and 5 are a pair
        "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nanchors=1,1,2,2,3,3\nclasses=1\n"
    )
    assert pairs(cfg) == ((4, 5),)


def test_no_pair_in_any_network_bends_or_branches():
    for name in ("yolov3", "yolov3-mobilenetv3-small", "yolov3-shufflenetv2-1.0"):
        cfg = build(name)
        for first, second in pairs(cfg):
            assert isinstance(cfg[first], Conv) and isinstance(cfg[second], Conv)
            readers = [i for i in range(len(cfg)) if first in cfg.links(i)]
            assert len(readers) == 1


def test_a_bundle_with_batchnorm_is_refused(random_bundle):
    with pytest.raises(InputError, match="folded"):
        equalize(random_bundle(build("yolov3-nano", 2, 64)), [])
