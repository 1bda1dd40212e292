"""take(mask(b)) computes what mask(b) does, for any plan; absorb is exact where it says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_zoo import COMPUTED, by_night
from detectors import READ_STEMS
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    ACTIVATIONS,
    Cfg,
    Connected,
    Conv,
    Local,
    couple,
    infer_shapes,
    parse,
    read_cfg,
    resize,
    totals,
)
from yolo_slim.errors import CfgError, InputError
from yolo_slim.prune.absorb import absorb
from yolo_slim.prune.cut import mask, take
from yolo_slim.prune.limits import Limits
from yolo_slim.prune.place import plan_ratio, plan_target
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import Scoring, score_classes
from yolo_slim.weights import check_weights, network_of
from yolo_slim.zoo import build

SHARED = Path(__file__).resolve().parents[3] / "shared"
SPECIAL = [
    "cfg/AlexeyAB/yolov4-tiny", "cfg/AlexeyAB/enet-coco", "cfg/AlexeyAB/yolov3-tiny-prn",
    "cfg/yolo-fastest/yolo-fastest-1.1", "cfg/mobilenet-yolo/yoloface-500k-v2",
    *by_night("cfg/AlexeyAB/csresnext50-panet-spp"),
]  # fmt: skip

BY_GAMMA = Scoring("gamma", normalize="layer")


def _detectors() -> list[Path]:
    files = [SHARED / f"cfg/{stem}.cfg" for stem in READ_STEMS]
    return files + sorted((SHARED / "weights").rglob("*.cfg"))


def random_plan(cfg: Cfg, seed: int, ratio: float | None = None) -> Plan:
    """Any legal plan: a coin for each free class, then one back where a section lost all.

    ratio: share of the free classes that goes, about; None draws it, 0.1 to 0.6.
    """
    rng = np.random.default_rng(seed)
    coupling = couple(cfg)
    share = rng.uniform(0.1, 0.6) if ratio is None else ratio
    keep = (rng.random(coupling.n_classes) >= share) | ~coupling.free
    for index in range(len(cfg)):
        if not keep[coupling.classes(index)].any():
            keep[rng.choice(coupling.classes(index))] = True
    return Plan(cfg, coupling, keep)


def with_logits(cfg: Cfg) -> Cfg:
    """Heads without their sigmoid, which may saturate and hide a difference. They are frozen, so
    what is cut is the same."""
    heads = cfg.head_convs
    return replace(
        cfg,
        sections=tuple(
            replace(s, activation="linear") if i in heads and isinstance(s, Conv) else s
            for i, s in enumerate(cfg)
        ),
    )


def run(bundle: Bundle, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(network_of(bundle.cfg, bundle.weights)(images))


def assert_take_is_mask(bundle: Bundle, plan: Plan, images: torch.Tensor, lively: float) -> None:
    masked = mask(bundle, plan)
    taken = take(masked, plan)
    check_weights(taken.cfg, taken.weights)
    assert parse_back(taken.cfg) == taken.cfg
    whole = run(bundle, images)
    for a, b, before in zip(run(masked, images), run(taken, images), whole, strict=True):
        assert torch.isfinite(a).all()
        spread = a.std(dim=(0, 2, 3)) / a.abs().amax()
        assert spread.min() > lively  # no channel of the head is constant
        assert (a - b).abs().max() <= 1e-9 * a.abs().max()
        if plan.ratio:
            assert (a - before).abs().max() > 1e-6 * a.abs().max()  # the cut is felt


def parse_back(cfg: Cfg) -> Cfg:
    from yolo_slim.cfg import render

    return parse(render(cfg))


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("name", COMPUTED)
def test_take_is_mask_for_any_plan_on_the_zoo(name, seed, lively_bundle, lively_images):
    cfg = build(name, 2, 64)
    bundle = lively_bundle(cfg, seed)
    assert_take_is_mask(bundle, random_plan(cfg, seed), lively_images(cfg), 1e-3)


@pytest.mark.parametrize(
    "ratio", [0.1, 0.6, 0.95, *(pytest.param(r, marks=pytest.mark.slow) for r in (0.3, 0.8))]
)
@pytest.mark.parametrize("name", ["yolov3-nano", *by_night("yolov3-mobilenetv2")])
def test_take_is_mask_for_any_share(name, ratio, lively_bundle, lively_images):
    cfg = build(name, 2, 64)
    plan = random_plan(cfg, 5, ratio)
    assert plan.ratio == pytest.approx(ratio, abs=0.05)
    assert_take_is_mask(lively_bundle(cfg, 5), plan, lively_images(cfg), 1e-6)


@pytest.mark.parametrize("name", COMPUTED)
def test_pruning_twice_is_pruning_once_with_both_plans(name, random_bundle):
    cfg = build(name, 2, 64)
    bundle = random_bundle(cfg)
    first = random_plan(cfg, 1)
    once = take(bundle, first)
    second = random_plan(once.cfg, 2)
    keep = first.keep.copy()
    for index in range(len(cfg)):
        gone = np.flatnonzero(first.kept(index))[~second.kept(index)]
        keep[first.coupling.classes(index)[gone]] = False
    twice, both = take(once, second), take(bundle, Plan(cfg, first.coupling, keep))
    assert twice.cfg == both.cfg
    assert twice.weights.keys() == both.weights.keys()
    assert all(torch.equal(twice.weights[key], both.weights[key]) for key in both.weights)


@pytest.mark.parametrize("ratio", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny"])
def test_take_is_mask_for_a_global_ratio(name, ratio, lively_bundle, lively_images):
    cfg = build(name, 2, 64)
    bundle = lively_bundle(cfg, 2)
    plan = plan_ratio(bundle, ratio)
    assert_take_is_mask(bundle, plan, lively_images(cfg), 1e-3)


@pytest.mark.parametrize("stem", SPECIAL)
def test_take_is_mask_on_special_cfgs(stem, shared_root, lively_bundle, lively_images):
    cfg = resize(read_cfg(shared_root / f"{stem}.cfg"), 64, 64)
    assert_take_is_mask(lively_bundle(cfg), random_plan(cfg, 1), lively_images(cfg), 1e-3)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_take_is_mask_on_every_kind_of_section(name, seed, lively_bundle, lively_images):
    cfg = SMALL_NETWORKS[name]()
    plan = random_plan(cfg, seed)
    assert plan.ratio > 0
    assert_take_is_mask(lively_bundle(cfg, seed), plan, lively_images(cfg), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("path", _detectors(), ids=lambda p: str(p.relative_to(SHARED)))
def test_take_is_mask_on_every_shared_cfg(path, ratio, lively_bundle, lively_images):
    cfg = with_logits(read_cfg(path))
    if not any(isinstance(s, Connected | Local) for s in cfg):
        # Two cells of the coarsest head: one says little of a map.
        coarsest = min(shape.height for shape in infer_shapes(cfg))
        strides = cfg.net.height // coarsest
        cfg = resize(cfg, 2 * strides, 2 * strides)
    lively = 1e-4 if cfg.heads[0].kind == "detection" else 1e-3  # one cell a value in YOLOv1
    lively = lively if ratio < 0.9 else 1e-9  # of what is left little moves, but it moves
    assert_take_is_mask(lively_bundle(cfg), random_plan(cfg, 1, ratio), lively_images(cfg), lively)


# --- mask -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bn", [0, 1])
def test_a_masked_channel_is_exactly_zero(activation, bn, lively_bundle, lively_images):
    conv = "[convolutional]\nbatch_normalize={}\nfilters=8\nsize=3\npad=1\n"
    conv += "groups={}\nactivation={}\n"
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n" + conv.format(1, 1, activation)
        + conv.format(bn, 1, activation) + conv.format(bn, 8, activation)
        + "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
    )  # fmt: skip
    plan = random_plan(cfg, 3, 0.4)
    network = network_of(cfg, mask(lively_bundle(cfg), plan).weights)
    with torch.no_grad():
        _, taps = network.forward_with_taps(lively_images(cfg), [0, 1, 2])
    for index, output in taps.items():
        gone = torch.from_numpy(~plan.kept(index))
        assert 0 < gone.sum() < 8
        assert (output[:, gone] == 0).all()
        assert (output[:, ~gone] != 0).any()  # ReLU may silence one by itself


# --- take -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPUTED)
def test_a_plan_that_keeps_all_is_the_identity(name, random_bundle):
    cfg = build(name, 2, 64)
    bundle = random_bundle(cfg)
    coupling = couple(cfg)
    taken = take(bundle, Plan(cfg, coupling, np.ones(coupling.n_classes, bool)))
    assert taken.cfg == cfg
    assert taken.weights.keys() == bundle.weights.keys()
    assert all(torch.equal(taken.weights[k], bundle.weights[k]) for k in bundle.weights)


def test_what_stays_is_the_source_s_bit_for_bit(random_bundle):
    cfg = build("yolov3-nano", 2, 64)
    bundle = random_bundle(cfg)
    plan = random_plan(cfg, 4)
    taken = take(bundle, plan)
    for index, section in enumerate(cfg):
        if not isinstance(section, Conv):
            continue
        rows, columns = plan.kept(index), plan.kept(cfg.links(index)[0])
        kernel = bundle.weights[f"{index}.conv.weight"].numpy()[rows][:, columns]
        np.testing.assert_array_equal(taken.weights[f"{index}.conv.weight"].numpy(), kernel)
        for part in ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "conv.bias"):
            key = f"{index}.{part}"
            if key in bundle.weights:
                expected = bundle.weights[key].numpy()[rows]
                np.testing.assert_array_equal(taken.weights[key].numpy(), expected)


def test_the_source_bundle_is_left_as_it_was(lively_bundle):
    cfg = build("yolov3-nano", 2, 64)
    bundle = lively_bundle(cfg)
    before = {k: v.clone() for k, v in bundle.weights.items()}
    plan = random_plan(cfg, 5)
    for verb in (mask, absorb, take):
        verb(bundle, plan)
    assert all(torch.equal(before[k], bundle.weights[k]) for k in before)


def test_no_convolution_ends_with_zero_channels(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    plan = plan_ratio(bundle, 0.999, limits=Limits(layer_keep=0))
    assert min(after for _, _, after in plan.widths()) >= 1
    coupling = couple(bundle.cfg)
    with pytest.raises(CfgError, match="would keep 0 of"):
        _ = Plan(bundle.cfg, coupling, ~coupling.free).narrowed


# --- plans ----------------------------------------------------------------------------------------

BN = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation={}\n"
LINEAR = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"


@pytest.mark.parametrize("layer_keep", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_floor_and_multiple_are_kept(layer_keep, multiple, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    plan = plan_ratio(bundle, 0.7, limits=Limits(layer_keep, multiple))
    free = plan.coupling.free
    for index, before, after in plan.widths():
        assert after >= max(1, np.ceil(before * layer_keep))
        if free[plan.coupling.classes(index)].all():
            assert after % multiple == 0 or after == before
    assert plan.ratio <= 0.7
    assert plan.keep[~free].all()
    assert (plan.ratio == 0) == (layer_keep == 1)


def test_the_lowest_scores_go_first(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64))
    plan = plan_ratio(bundle, 0.5, BY_GAMMA, Limits(layer_keep=0))
    scores = score_classes(bundle, plan.coupling, BY_GAMMA)
    assert scores[~plan.keep].max() <= scores[plan.keep].min()
    assert plan.ratio == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("reduce", "expected"), [("max", 0.9), ("mean", 0.5), ("sum", 1.0)])
def test_scores_of_a_tied_class_by_hand(reduce, expected, lively_bundle):
    cfg = parse(
        "[net]\nwidth=8\nheight=8\n" + BN.format(1, 1, "leaky") * 2
        + "[shortcut]\nfrom=-2\nactivation=linear\n" + LINEAR
    )  # fmt: skip
    bundle = lively_bundle(cfg)
    bundle.weights["0.bn.weight"][:] = 0.1
    bundle.weights["1.bn.weight"][:] = -0.9
    coupling = couple(cfg)
    scores = score_classes(bundle, coupling, Scoring("gamma", reduce))
    assert scores[coupling.classes(0)] == pytest.approx([expected])
    assert np.isinf(scores[coupling.classes(3)]).all()


def test_the_level_of_a_layer_says_nothing_what_differs_within_it_does(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64))
    coupling = couple(bundle.cfg)
    before = score_classes(bundle, coupling, BY_GAMMA)
    bundle.weights["0.bn.weight"] *= 0.01
    after = score_classes(bundle, coupling, BY_GAMMA)
    raw = score_classes(bundle, coupling, Scoring("gamma"))
    np.testing.assert_allclose(after, before, rtol=1e-6)
    assert raw[coupling.classes(0)].max() < raw[np.isfinite(raw)].mean()


@pytest.mark.parametrize("quantity", ["macs", "parameters"])
@pytest.mark.parametrize("target", [0.8, 0.4, 0.15])
def test_a_target_is_reached_and_not_overshot(quantity, target, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    plan = plan_target(bundle, target, quantity, limits=Limits(layer_keep=0.02))
    share = getattr(totals(plan.narrowed), quantity) / getattr(totals(bundle.cfg), quantity)
    assert 0.97 * target <= share <= target


@pytest.mark.parametrize("quantity", ["macs", "parameters"])
def test_an_impossible_target_names_the_least_that_can_be_reached(quantity, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    with pytest.raises(InputError) as caught:
        plan_target(bundle, 0.001, quantity, limits=Limits(layer_keep=0.3))
    told = str(caught.value).split("the least is ")[1].split("%")[0]
    least = float(told) / 100
    plan = plan_target(bundle, least + 0.001, quantity, limits=Limits(layer_keep=0.3))
    assert plan.ratio > 0.5


@pytest.mark.parametrize("ratio", [1.0, -0.1])
def test_a_ratio_out_of_range_is_named(ratio, random_bundle):
    with pytest.raises(InputError, match="--ratio"):
        plan_ratio(random_bundle(build("yolov3-nano", 2, 64)), ratio)
