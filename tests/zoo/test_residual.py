"""ResNets, VGGs, DenseNets and ShuffleNets compute what torchvision's do and cost what their
papers say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
import torchvision
from paper_networks import BY_THE_PAPER
from torch import Tensor, nn

from yolo_slim.cfg import (
    Batchnorm,
    Cfg,
    Connected,
    Conv,
    couple,
    infer_shapes,
    parse,
    render,
    resize,
    totals,
)
from yolo_slim.prune.cut import mask, take
from yolo_slim.prune.plan import Plan
from yolo_slim.weights import Weights, check_weights, network_of
from yolo_slim.zoo import build, classifier, densenet, names, resnet, shufflenet, vgg

FAMILIES = (resnet, vgg, densenet, shufflenet)
NAMES = [name for family in FAMILIES for name in family.CLASSIFIERS]
BACKBONES = [name for name in NAMES if classifier(name).stages]
CIFAR = [name for name in NAMES if name not in BACKBONES]

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "vgg16": "vgg16_bn",
    "vgg19": "vgg19_bn",
    "densenet121": "densenet121",
    "shufflenetv2-0.5": "shufflenet_v2_x0_5",
    "shufflenetv2-1.0": "shufflenet_v2_x1_0",
    "shufflenetv2-1.5": "shufflenet_v2_x1_5",
    "shufflenetv2-2.0": "shufflenet_v2_x2_0",
}

# A convolution of a cfg has a BatchNorm or a bias, never both and never neither.
BIASES_APART = {
    "vgg16": -4224,  # theirs before BatchNorm, which takes them off again
    "vgg19": -5504,
    "densenet121": 2752,  # ours after convolutions that theirs give neither to
}


def theirs(name: str) -> nn.Module:
    """torchvision's network without numbers."""
    with torch.device("meta"):
        return getattr(torchvision.models, TORCHVISION[name])()


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with kernels that keep the scale and statistics that are no identity."""
    torch.manual_seed(seed)
    model.to_empty(device="cpu")
    for module in model.modules():
        match module:
            case nn.Conv2d() | nn.Linear():
                bound = (6 / module.weight[0].numel()) ** 0.5
                nn.init.uniform_(module.weight, -bound, bound)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -0.2, 0.2)
            case nn.BatchNorm2d():
                nn.init.uniform_(module.weight, 0.5, 1.2)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.6, 1.5)
    return model.eval()


def imported(cfg: Cfg, model: nn.Module) -> Weights:
    """The tensors of `model` under the keys of `cfg`: both walked in order."""
    modules = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d))
    weights: Weights = {}
    for index, section in enumerate(cfg):
        match section:
            case Batchnorm():
                weights |= _batchnorm(index, modules, 0.0)
            case Conv() | Connected():
                name = "conv" if isinstance(section, Conv) else "connected"
                module = next(modules)
                kernel = module.weight.detach()
                bias = torch.zeros(len(kernel)) if module.bias is None else module.bias.detach()
                weights[f"{index}.{name}.weight"] = kernel
                if section.batch_normalize:
                    weights |= _batchnorm(index, modules, bias)
                else:
                    weights[f"{index}.{name}.bias"] = bias
    assert next(modules, None) is None
    check_weights(cfg, weights)
    return weights


def _batchnorm(index: int, modules: Iterator[nn.Module], bias: Tensor | float) -> Weights:
    """Of the next module, which is to read its input less the `bias` that was added to it."""
    norm = next(modules)
    assert isinstance(norm, nn.BatchNorm2d)
    state = {key: norm.state_dict()[key] for key in ("weight", "bias", "running_var")}
    state["running_mean"] = norm.running_mean - bias
    return {f"{index}.bn.{key}": tensor for key, tensor in state.items()}


@torch.no_grad()
def assert_same_logits(name: str, model: nn.Module, size_px: int, classes: int = 1000) -> None:
    randomised(model)
    eps = next(m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    cfg = build(name, classes, size_px)
    cfg = replace(cfg, net=replace(cfg.net, bn_eps=eps))
    images = torch.rand(2, 3, size_px, size_px) * torch.tensor([1.0, 0.1]).view(2, 1, 1, 1)
    expected = model(images)
    (found,) = network_of(cfg, imported(cfg, model))(images)
    assert found.shape == (2, classes, 1, 1)
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()
    assert (found.flatten(1) - expected).abs().max() <= 1e-4 * expected.abs().max()


LIGHT = {"resnet18": 64, "densenet121": 64, "shufflenetv2-1.0": 64}


@pytest.mark.parametrize("name", LIGHT)
def test_the_logits_are_torchvision_s(name):
    assert_same_logits(name, theirs(name), LIGHT[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_the_logits_are_torchvision_s_at_the_published_size(name):
    assert_same_logits(name, theirs(name), 224)


@pytest.mark.slow
def test_the_logits_of_seresnet50_are_timm_s():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        model = timm.create_model("seresnet50")
    assert_same_logits("seresnet50", model, 224)


# --- networks that torchvision has not -----------------------------------------------------------


@pytest.mark.parametrize("name", BY_THE_PAPER)
def test_the_logits_are_those_of_the_paper_s_definition(name):
    with torch.device("meta"):
        model = BY_THE_PAPER[name]()
    assert_same_logits(name, model, 32 if name in CIFAR else 64, classes=10)


# --- cost -----------------------------------------------------------------------------------------


def macs_of(model: nn.Module, height: int, width: int) -> int:
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * prod(module.weight.shape[1:])

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.eval()(torch.zeros(1, 3, height, width, device="meta"))
    return total


@pytest.mark.parametrize("hw", [(224, 224), (231, 250)])
@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_and_macs_are_torchvision_s(name, hw):
    model = theirs(name)
    ours = totals(resize(build(name), *hw))
    parameters = sum(p.numel() for p in model.parameters())
    assert ours.parameters == parameters + BIASES_APART.get(name, 0)
    assert ours.macs == macs_of(model, *hw)


# name, quantity, what the paper prints. MACs where a paper says FLOPs and counts one for both;
# Liu et al. and torchvision's documentation stand in where a paper prints none.
PUBLISHED = [
    ("resnet18", "macs", 1.8e9),  # He et al., 2015, table 1
    ("resnet34", "macs", 3.6e9),
    ("resnet18", "parameters", 11.7e6),  # torchvision
    ("resnet34", "parameters", 21.8e6),
    ("resnet50", "parameters", 25.6e6),
    ("resnet50", "macs", 4.09e9),
    ("seresnet50-r2", "parameters", 45.7e6),  # Hu et al., 2018, over the reduction ratio r
    ("seresnet50-r4", "parameters", 35.7e6),
    ("seresnet50-r8", "parameters", 30.7e6),
    ("seresnet50-r16", "parameters", 28.1e6),
    ("seresnet50-r32", "parameters", 26.9e6),
    ("resnet20", "parameters", 0.27e6),  # He et al., 2015, table 6
    ("resnet56", "parameters", 0.85e6),
    ("preresnet20", "parameters", 0.27e6),  # as its twin, the order of layers apart
    ("preresnet56", "parameters", 0.85e6),
    ("preresnet164", "parameters", 1.70e6),  # Liu et al., Network Slimming, 2017, table 1
    ("preresnet164", "macs", 4.99e8 / 2),  # FLOPs there are two for a multiplication and addition
    ("densenet40", "parameters", 1.02e6),
    ("densenet40", "macs", 5.33e8 / 2),
    ("densenet121", "parameters", 7.98e6),  # torchvision
    ("densenet121", "macs", 2.83e9),
    ("vgg16", "parameters", 138e6),  # Simonyan and Zisserman, 2014, table 2
    ("vgg19", "parameters", 144e6),
    ("vgg16", "macs", 15.3e9),  # He et al., 2015, section 4.1
    ("vgg19", "macs", 19.6e9),
    ("shufflenetv1-g1", "macs", 143e6),  # Zhang et al., 2018, table 1
    ("shufflenetv1-g2", "macs", 140e6),
    ("shufflenetv1-g3", "macs", 137e6),
    ("shufflenetv1-g4", "macs", 133e6),
    ("shufflenetv1-g8", "macs", 137e6),
    ("shufflenetv2-0.5", "macs", 41e6),  # Ma et al., 2018
    ("shufflenetv2-1.0", "macs", 146e6),
    ("shufflenetv2-1.5", "macs", 299e6),
    ("shufflenetv2-2.0", "macs", 591e6),
]

# What differs from the paper, and why.
DEVIATIONS = [
    # He et al. have the stride on the first 1x1 convolution of a bottleneck, torchvision on the 3x3
    ("resnet50", "macs", 3.8e9, 1.076),
    ("seresnet50", "macs", 3.87e9, 1.057),
]


def _cost(name: str, quantity: str) -> int:
    return getattr(totals(build(name, 10 if name in CIFAR else 1000)), quantity)


@pytest.mark.parametrize(("name", "quantity", "published"), PUBLISHED)
def test_the_cost_is_the_published_one(name, quantity, published):
    assert _cost(name, quantity) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(("name", "quantity", "published", "ratio"), DEVIATIONS)
def test_a_deviation_from_the_published_cost_is_the_known_one(name, quantity, published, ratio):
    assert _cost(name, quantity) / published == pytest.approx(ratio, abs=0.001)


# --- as documents ---------------------------------------------------------------------------------


def test_every_member_of_the_families_is_in_the_zoo():
    assert set(NAMES) <= set(names())
    assert {f"yolov3-{name}" for name in CIFAR} & set(names()) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_survives_printing(name):
    cfg = build(name, 10)
    assert parse(render(cfg)) == cfg
    assert cfg.input_hw == ((32, 32) if name in CIFAR else (224, 224))
    assert cfg[len(cfg) - 1] == Connected(output=10, activation="linear")


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_are_the_last_maps_of_strides_8_16_and_32(name):
    found = classifier(name)
    shapes = infer_shapes(build(name, 10, 256))
    assert [shapes[stage][1:] for stage in found.stages] == [(32, 32), (16, 16), (8, 8)]
    assert found.stages[-1] == len(found.trunk) - 1
    for finer, coarser in pairwise(found.stages):
        between = {shape.height for shape in shapes[finer:coarser]} - {1}  # but for the gates
        assert between <= {shapes[finer].height, shapes[coarser].height}
        # No wider map of that stride comes before it: the stage has ended.
        assert shapes[finer].channels == max(
            shape.channels for shape in shapes[: finer + 1] if shape.height == shapes[finer].height
        )


@pytest.mark.parametrize("heads", ["yolov3-", "yolov3-tiny-", "yolov3-lite-"])
@pytest.mark.parametrize("name", BACKBONES)
def test_a_detector_stands_on_it(name, heads):
    cfg = build(heads + name, 3)
    assert parse(render(cfg)) == cfg
    assert cfg.n_classes == 3


# --- pruning --------------------------------------------------------------------------------------


def _free_shares(cfg: Cfg) -> dict[int, float]:
    """Section -> share of the channels of its BatchNorm that may go."""
    coupling = couple(cfg)
    return {
        index: float(coupling.free[coupling.classes(index)].mean())
        for index, section in enumerate(cfg)
        if isinstance(section, Batchnorm) or getattr(section, "batch_normalize", False)
    }


@pytest.mark.parametrize("name", ["shufflenetv2-1.0", "preresnet20"])
def test_every_channel_with_a_batchnorm_may_go(name):
    assert set(_free_shares(build(name, 10)).values()) == {1.0}


def test_the_inner_widths_of_shufflenetv2_s_units_are_free_of_each_other():
    cfg = build("shufflenetv2-1.0", 10)
    coupling = couple(cfg)
    inner = [
        index
        for index, (section, after) in enumerate(pairwise(cfg))
        if isinstance(section, Conv) and isinstance(after, Conv) and after.groups > 1
    ]
    assert len(inner) == 16  # one for each unit
    for index in inner:
        mine = coupling.classes(index)
        assert coupling.free[mine].all()
        assert len(set(mine)) == len(mine)
        # The depthwise convolution that reads them has them, too, and nothing else.
        others = [i for i in range(len(cfg)) if set(coupling.classes(i)) & set(mine)]
        assert others == [index, index + 1]


def _random_plan(cfg: Cfg, seed: int) -> Plan:
    rng = np.random.default_rng(seed)
    coupling = couple(cfg)
    keep = (rng.random(coupling.n_classes) < 0.7) | ~coupling.free
    for index in range(len(cfg)):
        if not keep[coupling.classes(index)].any():
            keep[rng.choice(coupling.classes(index))] = True
    return Plan(cfg, coupling, keep)


@pytest.mark.parametrize(
    "name", ["shufflenetv2-0.5", "shufflenetv1-g3", "densenet40", "preresnet20", "resnet18"]
)
@torch.no_grad()
def test_take_is_mask(name, random_bundle):
    cfg = build(name, 10, 32 if name in CIFAR else 64)
    bundle, plan = random_bundle(cfg), _random_plan(cfg, 0)
    masked = mask(bundle, plan)
    taken = take(masked, plan)
    images = torch.rand(2, 3, *cfg.input_hw, dtype=torch.float64)
    (whole,), (a,), (b,) = (network_of(x.cfg, x.weights)(images) for x in (bundle, masked, taken))
    scale = a.abs().max()
    assert totals(taken.cfg).macs < totals(cfg).macs
    assert (a - whole).abs().max() > 1e-3 * scale
    assert (a[0] - a[1]).abs().max() > 1e-6 * scale
    assert (a - b).abs().max() <= 1e-9 * scale
