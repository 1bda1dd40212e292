"""A block that sends nothing can go unnoticed; what stays is the source's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from silenced import silenced

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import (
    couple,
    drop_blocks,
    measure,
    parse,
    read_cfg,
    render,
    residual_blocks,
    resize,
    totals,
)
from yolo_slim.darknet_weights import read_darknet_weights, write_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.cut import take
from yolo_slim.prune.layer_rank import gamma
from yolo_slim.prune.layers import plan_layers, take_layers
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.plan import Plan
from yolo_slim.weights import check_weights, network_of
from yolo_slim.zoo import build

FAMILIES = [
    ("yolov3-nano", 2, 64), ("yolov3-lite-mobilenetv2", 2, 64),
    ("yolov3-tiny-mobilenetv3-small", 2, 64), ("yolov3-tiny-resnet18", 2, 64),
    ("yolov3-tiny-ghostnet", 2, 64), ("yolov3-tiny-efficientnet-b0", 2, 64),
    ("seresnet50", 10, 64), ("resnet20", 10, 32), ("preresnet20", 10, 32),
    ("shufflenetv1-g3", 10, 64), ("tinynet-e", 10, 64),
]  # fmt: skip
LARGE = [
    ("yolov3", 2, 64), ("yolov3-mobilenetv2", 2, 64), ("yolov3-resnet18", 2, 64),
    ("yolov3-ghostnet", 2, 64), ("yolov3-efficientnet-b0", 2, 64),
]  # fmt: skip
PUBLIC = [
    "AlexeyAB/enet-coco", "AlexeyAB/yolov4-csp-s-mish",
    "yolo-fastest/yolo-fastest-1.1", "mobilenet-yolo/yoloface-500k-v2",
]  # fmt: skip
ADD = "[shortcut]\nfrom={}\nactivation=linear\n"


def run(bundle: Bundle, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(network_of(bundle.cfg, bundle.weights)(images))


def assert_silent_blocks_go_unnoticed(bundle: Bundle, images: torch.Tensor, step: int) -> None:
    """Of blocks that add, and do no more; ReLU does nothing to a map that went through it."""
    kinds = ("linear", "relu")
    found = [b for b in residual_blocks(bundle.cfg) if bundle.cfg[b.shortcut].activation in kinds]
    assert found
    unchanged = run(bundle, images)
    for block in found[::step]:
        quiet = silenced(bundle, block)
        taken = take_layers(quiet, [block])
        check_weights(taken.cfg, taken.weights)
        differ = 0.0
        for whole, before, after in zip(
            unchanged, run(quiet, images), run(taken, images), strict=True
        ):
            scale = before.abs().max()
            assert torch.isfinite(before).all() and before.std() > 1e-6 * scale
            assert (before - after).abs().max() <= 1e-12 * scale
            differ = max(differ, float((whole - after).abs().max() / scale))
        assert differ > 1e-6  # the branch had something to say


def assert_family_loses_silent_blocks(name, classes, size_px, lively_bundle, lively_images, n):
    # Of a classifier the logits: a softmax may round a difference away.
    cfg = parse(render(build(name, classes, size_px)).split("[softmax]")[0])
    step = -(-len(residual_blocks(cfg)) // n)
    assert_silent_blocks_go_unnoticed(lively_bundle(cfg), lively_images(cfg, 1), step)


# --- take_layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes", "size_px"), FAMILIES)
def test_a_silent_block_goes_unnoticed(name, classes, size_px, lively_bundle, lively_images):
    assert_family_loses_silent_blocks(name, classes, size_px, lively_bundle, lively_images, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "classes", "size_px"), LARGE)
def test_a_silent_block_of_a_large_detector_goes_unnoticed(
    name, classes, size_px, lively_bundle, lively_images
):
    assert_family_loses_silent_blocks(name, classes, size_px, lively_bundle, lively_images, 30)


@pytest.mark.parametrize("stem", PUBLIC)
def test_a_silent_block_goes_unnoticed_in_public_cfgs(
    stem, shared_root, lively_bundle, lively_images
):
    cfg = resize(read_cfg(shared_root / f"cfg/{stem}.cfg"), 64, 64)
    step = -(-len(residual_blocks(cfg)) // 2)
    assert_silent_blocks_go_unnoticed(lively_bundle(cfg), lively_images(cfg, 1), step)


def test_what_stays_is_the_source_s_bit_for_bit_and_nothing_else_stays(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    blocks = residual_blocks(bundle.cfg)[1:4]
    before = {key: tensor.clone() for key, tensor in bundle.weights.items()}
    taken = take_layers(bundle, blocks)
    _, moved = drop_blocks(bundle.cfg, blocks)
    old_keys = set()
    for key, tensor in taken.weights.items():
        place, name = key.split(".", 1)
        old = next(i for i, m in moved.items() if m == int(place))
        old_keys.add(f"{old}.{name}")
        assert torch.equal(tensor, bundle.weights[f"{old}.{name}"])
    gone = {str(index) for block in blocks for index in block.sections}
    assert old_keys == {key for key in bundle.weights if key.split(".")[0] not in gone}
    assert all(torch.equal(before[key], bundle.weights[key]) for key in before)
    assert taken.history[-1].verb == "take_layers"
    assert taken.history[-1].settings == {"shortcuts": [b.shortcut for b in blocks]}


@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-ghostnet", "yolov3-tiny-efficientnet-b0"])
def test_parameters_and_macs_fall_by_the_block_s(name):
    cfg = build(name, 2, 64)
    costs = measure(cfg)
    for block in residual_blocks(cfg):
        shorter, _ = drop_blocks(cfg, [block])
        for quantity in ("parameters", "macs"):
            own = sum(getattr(costs[index], quantity) for index in block.sections)
            assert own > 0
            assert getattr(totals(cfg), quantity) - getattr(totals(shorter), quantity) == own


@pytest.mark.parametrize(("name", "classes", "size_px"), FAMILIES[:6])
def test_a_network_without_any_block_runs(name, classes, size_px, lively_bundle, lively_images):
    bundle = lively_bundle(build(name, classes, size_px))
    taken = take_layers(bundle, residual_blocks(bundle.cfg))
    assert not residual_blocks(taken.cfg)
    before, after = (
        run(bundle, lively_images(bundle.cfg, 1)),
        run(taken, lively_images(taken.cfg, 1)),
    )
    assert [x.shape for x in before] == [x.shape for x in after]
    assert all(torch.isfinite(x).all() for x in after)


def test_dropping_twice_is_dropping_both(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    one, _, other, *_ = residual_blocks(bundle.cfg)
    _, moved = drop_blocks(bundle.cfg, [one])
    once = take_layers(bundle, [one])
    again = next(b for b in residual_blocks(once.cfg) if b.shortcut == moved[other.shortcut])
    twice, both = take_layers(once, [again]), take_layers(bundle, [one, other])
    assert twice.cfg == both.cfg
    assert twice.weights.keys() == both.weights.keys()
    assert all(torch.equal(twice.weights[key], both.weights[key]) for key in both.weights)


@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-lite-mobilenetv2", "yolov3-tiny-ghostnet"])
def test_layers_and_channels_commute(name, random_bundle):
    """Channels by any plan, then layers, is layers, then channels by that plan, each section's
    channels kept where the section has gone to."""
    bundle = random_bundle(build(name, 2, 64))
    blocks = residual_blocks(bundle.cfg)[::2]
    plan = plan_ratio(bundle, 0.4)
    cut = take(bundle, plan)
    assert residual_blocks(cut.cfg) == residual_blocks(bundle.cfg)
    shorter = take_layers(bundle, blocks)
    _, moved = drop_blocks(bundle.cfg, blocks)
    coupling = couple(shorter.cfg)
    keep = np.ones(coupling.n_classes, bool)
    for index, place in moved.items():
        if place is not None:
            keep[coupling.classes(place)] = plan.kept(index)
    channels_first = take_layers(cut, blocks)
    layers_first = take(shorter, Plan(shorter.cfg, coupling, keep))
    assert layers_first.cfg == channels_first.cfg
    assert layers_first.weights.keys() == channels_first.weights.keys()
    for key, tensor in layers_first.weights.items():
        assert torch.equal(tensor, channels_first.weights[key])


def test_the_result_is_a_darknet_pair_and_a_bundle(random_bundle, lively_images, tmp_path):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    taken = take_layers(bundle, residual_blocks(bundle.cfg)[2:5])
    (tmp_path / "slim.cfg").write_text(render(taken.cfg))
    write_darknet_weights(tmp_path / "slim.weights", taken.cfg, taken.weights)
    cfg = read_cfg(tmp_path / "slim.cfg")
    read = Bundle(cfg, read_darknet_weights(tmp_path / "slim.weights", cfg)[0])
    taken.save(tmp_path / "slim")
    images = lively_images(cfg, 1).float()
    for other in (read, load_bundle(tmp_path / "slim")):
        for a, b in zip(run(taken, images), run(other, images), strict=True):
            assert torch.equal(a, b)


def test_a_folded_bundle_is_refused(random_bundle):
    bundle = fold_batchnorm(random_bundle(build("yolov3-nano", 2, 64)))
    blocks = residual_blocks(bundle.cfg)
    with pytest.raises(InputError, match="needs BatchNorm"):
        take_layers(bundle, blocks[:1])
    with pytest.raises(InputError, match="needs BatchNorm"):
        plan_layers(bundle, 1, gamma)
