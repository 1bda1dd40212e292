"""The mobile families are torchvision's and timm's: sizes, costs, logits; and the papers' costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
import torchvision.models as tv
from torch import nn

from yolo_slim import zoo
from yolo_slim.cfg import Cfg, Connected, Conv, infer_shapes, parse, render, totals, verify
from yolo_slim.weights import Weights, check_weights, network_of
from yolo_slim.zoo import build, efficientnet, ghostnet, mnasnet, mobilenet, tinynet

FAMILIES = (mobilenet, mnasnet, efficientnet, tinynet, ghostnet)
NAMES = [name for family in FAMILIES for name in family.CLASSIFIERS]


def _timm(name: str) -> nn.Module:
    return pytest.importorskip("timm").create_model(name)


def _timm_mobilenetv1(width: float) -> nn.Module:
    """timm names width 1.0 alone, and takes ReLU6 unless told."""
    models = pytest.importorskip("timm.models.efficientnet")
    return models._gen_mobilenet_v1("mobilenetv1_100", width, act_layer="relu")


THEIRS: dict[str, Callable[[], nn.Module]] = {
    **{
        f"mobilenetv1-{width}": partial(_timm_mobilenetv1, width)
        for width in (0.25, 0.5, 0.75, 1.0)
    },
    "mobilenetv2": tv.mobilenet_v2,
    **{
        f"mobilenetv2-{width}": partial(tv.mobilenet_v2, width_mult=width)
        for width in (0.5, 0.75, 1.4)
    },
    "mobilenetv3-small": tv.mobilenet_v3_small,
    "mobilenetv3-large": tv.mobilenet_v3_large,
    "mnasnet-0.5": tv.mnasnet0_5,
    "mnasnet-1.0": tv.mnasnet1_0,
    **{f"efficientnet-b{i}": getattr(tv, f"efficientnet_b{i}") for i in range(8)},
    **{f"tinynet-{letter}": partial(_timm, f"tinynet_{letter}") for letter in "abcde"},
    "ghostnet-0.5": partial(_timm, "ghostnet_050"),
    "ghostnet": partial(_timm, "ghostnet_100"),
    "ghostnet-1.3": partial(_timm, "ghostnet_130"),
}

# One of each family runs by default, the others with -m slow.
QUICK = ("mobilenetv1-0.25", "mobilenetv2-0.5", "mobilenetv3-small", "mnasnet-0.5",
         "efficientnet-b0", "tinynet-e", "ghostnet-0.5")  # fmt: skip
QUICK_FIRST = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES
]

PUBLISHED_MACS = {  # millions, each paper's
    "mobilenetv1-0.25": 41,
    "mobilenetv1-0.5": 149,
    "mobilenetv1-0.75": 325,
    "mobilenetv1-1.0": 569,
    "mobilenetv2-0.5": 97,
    "mobilenetv2-0.75": 209,
    "mobilenetv2": 300,
    "mobilenetv2-1.4": 585,
    "mobilenetv3-small": 56,
    "mobilenetv3-large": 219,
    "efficientnet-b0": 390,
    "efficientnet-b1": 700,
    "efficientnet-b2": 1000,
    "efficientnet-b3": 1800,
    "efficientnet-b4": 4200,
    "efficientnet-b5": 9900,
    "efficientnet-b6": 19000,
    "efficientnet-b7": 37000,
    "tinynet-a": 339,
    "tinynet-b": 202,
    "tinynet-c": 100,
    "tinynet-d": 52,
    "tinynet-e": 24,
    "ghostnet-0.5": 42,
    "ghostnet": 141,
    "ghostnet-1.3": 226,
}
# Where the paper's number is not within 2 % of torchvision's, which is ours: by how much.
DEVIATIONS = {"efficientnet-b4": 0.046, "efficientnet-b5": 0.037, "efficientnet-b7": 0.0202}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _cost(network: nn.Module, size_px: int) -> tuple[int, int]:
    """Parameters, and multiply-adds of convolutions and matrices, counted while it runs."""
    macs = 0

    def count(module: nn.Conv2d | nn.Linear, _, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.empty(1, 3, size_px, size_px, device="meta"))
    return sum(parameter.numel() for parameter in network.parameters()), macs


def _randomize(network: nn.Module) -> nn.Module:
    """Numbers of one size in every layer, so that no layer's part drowns."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.normal_(std=(2 / module.weight[0].numel()) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_(std=0.3)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.3)
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def _copied(cfg: Cfg, network: nn.Module) -> Weights:
    """The tensors of `network` under our keys: both are walked in order, convolution (or matrix)
    for convolution, the BatchNorm behind it with it."""
    theirs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    walk = iter(theirs)
    weights: Weights = {}
    for index, section in enumerate(cfg):
        if not isinstance(section, Conv | Connected):
            continue
        name = "conv" if isinstance(section, Conv) else "connected"
        module = next(walk)
        weights[f"{index}.{name}.weight"] = module.weight.detach()
        if section.batch_normalize:
            norm = next(walk)
            for key in ("weight", "bias", "running_mean", "running_var"):
                weights[f"{index}.bn.{key}"] = getattr(norm, key).detach()
        else:
            weights[f"{index}.{name}.bias"] = module.bias.detach()
    assert next(walk, None) is None, "tensors are left over"
    return weights


def _bn_eps(network: nn.Module) -> float:
    (eps,) = {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    return eps


def test_every_network_has_a_counterpart():
    assert set(THEIRS) == set(NAMES)
    assert set(NAMES) <= set(zoo.classifiers())


@pytest.mark.parametrize("name", NAMES)
def test_parameters_macs_and_epsilon_are_theirs(name):
    with torch.device("meta"):
        theirs = THEIRS[name]()
    cfg, net = build(name), zoo.classifier(name).net
    assert _bn_eps(theirs) == net.bn_eps
    assert cfg.net.width == cfg.net.height == net.width
    total = totals(cfg)
    assert (total.parameters, total.macs) == _cost(theirs, net.width)


@pytest.mark.parametrize(("name", "millions"), PUBLISHED_MACS.items())
def test_macs_are_the_paper_s(name, millions):
    deviation = totals(build(name)).macs / (millions * 1e6) - 1
    if name in DEVIATIONS:
        assert deviation == pytest.approx(DEVIATIONS[name], abs=1e-3)
    else:
        assert abs(deviation) <= 0.02


@pytest.mark.parametrize("name", QUICK_FIRST)
@pytest.mark.parametrize("size_px", [64, 75])  # odd maps are padded alike, too
def test_logits_are_theirs(name, size_px):
    theirs = _randomize(THEIRS[name]())
    cfg = build(name)
    cfg = replace(cfg, net=replace(cfg.net, width=size_px, height=size_px, bn_eps=_bn_eps(theirs)))
    weights = _copied(cfg, theirs)
    check_weights(cfg, weights)
    images = torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(images)
        (ours,) = network_of(cfg, weights)(images)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # images matter
    error = (ours[:, :, 0, 0] - expected).abs().max()
    assert error <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_a_cfg_survives_its_text(name):
    cfg = build(name)
    verify(cfg)
    assert parse(render(cfg)) == cfg


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_the_last_maps_of_their_strides(name):
    found = zoo.classifier(name)
    cfg = replace(found.cfg(name), net=replace(found.net, width=256, height=256))
    shapes = infer_shapes(cfg)
    assert [shapes[index].height for index in found.stages] == [32, 16, 8]
    assert found.stages[-1] == len(found.trunk) - 1
    # The next block halves it: by its first convolution, after a widening one, or after a ghost
    # module of three sections.
    before = {"mobilenetv1": 1, "ghostnet": 4}.get(name.split("-")[0], 2)
    for index in found.stages[:-1]:
        assert getattr(found.trunk[index + before], "stride", 1) == 2


@pytest.mark.parametrize("prefix", ["yolov3-", "yolov3-tiny-", "yolov3-lite-", "yolov3-spp-"])
@pytest.mark.parametrize("name", NAMES)
def test_detectors_stand_on_it(prefix, name):
    cfg = build(prefix + name, classes=3, size_px=96)
    shapes = infer_shapes(cfg)
    heights = [shapes[index].height for index in cfg.head_indices]
    assert heights == ([3, 6] if "tiny-" in prefix else [3, 6, 12])


def test_classes_reach_the_logits():
    for name in NAMES:
        assert infer_shapes(build(name, classes=7))[-1] == (7, 1, 1)
