import numpy as np
import pytest
import torch

from yolo_slim.cfg import Conv, couple, parse, read_cfg, resize, totals
from yolo_slim.errors import CfgError, InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.cut import absorb, mask, take
from yolo_slim.prune.plan import Plan, plan_ratio, plan_target
from yolo_slim.weights import network_of
from yolo_slim.zoo import build, names

SPECIAL = [
    "AlexeyAB/yolov4-tiny",  # split halves
    "AlexeyAB/yolov3-tiny-prn",  # shortcuts of unequal width
    "AlexeyAB/enet-coco",  # squeeze-and-excitation
    "AlexeyAB/csresnext50-panet-spp",  # group convolutions
    "yolo-fastest/yolo-fastest-1.1",  # depthwise
]


def random_plan(cfg, seed):
    """Any legal plan: each free class by a coin, then one back where a convolution lost all."""
    rng = np.random.default_rng(seed)
    coupling = couple(cfg)
    keep = (rng.random(coupling.n_classes) < rng.uniform(0.2, 0.9)) | ~coupling.free
    for index, section in enumerate(cfg):
        if isinstance(section, Conv) and not keep[coupling.classes(index)].any():
            keep[rng.choice(coupling.classes(index))] = True
    return Plan(cfg, coupling, keep)


def heads(bundle, size=64):
    x = torch.rand(2, bundle.cfg.net.channels, size, size, dtype=torch.float64,
                   generator=torch.Generator().manual_seed(1))  # fmt: skip
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(x)


def assert_take_is_mask(bundle, plan):
    masked = mask(bundle, plan)
    for a, b in zip(heads(masked), heads(take(masked, plan)), strict=True):
        assert torch.isfinite(a).all()
        assert a.std(dim=(0, 2, 3)).min() > 1e-9 * a.abs().max()  # no channel is constant
        assert (a - b).abs().max() <= 1e-9 * a.abs().max()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", names())
def test_take_is_mask_on_the_zoo(name, seed, random_bundle):
    cfg = build(name, classes=4, size_px=64)
    assert_take_is_mask(random_bundle(cfg, seed), random_plan(cfg, seed))


@pytest.mark.parametrize("stem", SPECIAL)
def test_take_is_mask_on_special_cfgs(stem, shared_root, random_bundle):
    cfg = resize(read_cfg(shared_root / "cfg" / f"{stem}.cfg"), 64, 64)
    assert_take_is_mask(random_bundle(cfg), random_plan(cfg, 3))


@pytest.mark.slow
def test_take_is_mask_on_every_shared_cfg(shared_root, random_bundle):
    tried = 0
    for path in sorted(shared_root.glob("cfg/*/*.cfg")):
        try:
            cfg = resize(read_cfg(path), 64, 64)
        except CfgError:
            continue
        if cfg.yolos:
            assert_take_is_mask(random_bundle(cfg), random_plan(cfg, tried))
            tried += 1
    assert tried == 53


@pytest.mark.parametrize("activation", ["leaky", "mish", "logistic"])
def test_a_masked_channel_is_silent_behind_its_activation(activation, random_bundle):
    conv = (
        f"[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation={activation}\n"
    )
    cfg = parse(f"[net]\nwidth=16\nheight=16\n{conv}[convolutional]\nfilters=4\nsize=1\n")
    bundle = random_bundle(cfg)
    plan = plan_ratio(bundle, 0.5)
    masked = mask(bundle, plan)
    network = network_of(cfg, masked.weights)
    with torch.no_grad():
        _, taps = network.forward_with_taps(torch.rand(1, 3, 16, 16, dtype=torch.float64), [0])
    gone = torch.from_numpy(~plan.kept(0))
    assert gone.sum() == 4
    assert (taps[0][:, gone] == 0).all()
    assert (taps[0][:, ~gone] != 0).any()


@pytest.mark.parametrize("activation", ["leaky", "relu", "mish", "swish", "linear"])
def test_absorb_is_exact_for_dead_channels_read_by_1x1(activation, random_bundle):
    conv = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize={}\npad=1\nactivation={}\n"
    text = conv.format(3, activation) + conv.format(1, "leaky")
    cfg = parse(f"[net]\nwidth=16\nheight=16\n{text}[convolutional]\nfilters=4\nsize=1\n")
    bundle = random_bundle(cfg)
    plan = plan_ratio(bundle, 0.5)
    gamma = bundle.weights["0.bn.weight"]
    gamma[torch.from_numpy(~plan.kept(0))] = 0.0
    second = bundle.weights["1.bn.weight"]
    second[torch.from_numpy(~plan.kept(1))] = 0.0
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    cut = take(absorb(bundle, plan), plan)
    with torch.no_grad():
        before = network_of(cfg, bundle.weights)(x)[0]
        after = network_of(cut.cfg, cut.weights)(x)[0]
        plain = network_of(cut.cfg, take(bundle, plan).weights)(x)[0]
    assert (before - after).abs().max() <= 1e-5 * before.abs().max()
    if activation != "relu":  # with ReLU the constants can all be 0
        assert (before - plain).abs().max() > 1e-3 * before.abs().max()


def test_target_macs_is_reached_and_an_impossible_one_is_refused(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 4, 64))
    plan = plan_target(bundle, 0.2, "macs", multiple=8)
    assert totals(plan.narrowed).macs <= 0.2 * totals(bundle.cfg).macs
    assert all(after % 8 == 0 for _, before, after in plan.widths() if before % 8 == 0)
    with pytest.raises(InputError, match="the least is"):
        plan_target(bundle, 0.0001, "macs")


def test_a_folded_bundle_is_refused(random_bundle):
    bundle = fold_batchnorm(random_bundle(build("yolov3-tiny", 4, 64)))
    with pytest.raises(InputError, match="needs BatchNorm"):
        plan_ratio(bundle, 0.5)
