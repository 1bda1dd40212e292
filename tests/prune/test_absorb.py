"""What a dropped channel sends is kept: exactly where that is a constant, else on average."""

import numpy as np
import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import ACTIVATIONS, Conv, couple, parse
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.prune.absorb import Sent, absorb
from yolo_slim.prune.cut import take
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.weights import network_of

BN = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation={}\n"
LINEAR = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"


def run(bundle: Bundle, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(images)[0]


def _dead(bundle: Bundle, index: int, channels: list[int]) -> Plan:
    """The plan that drops `channels` of a section, whose gamma is set to 0, and of what is tied."""
    coupling = couple(bundle.cfg)
    keep = np.ones(coupling.n_classes, bool)
    keep[coupling.classes(index)[channels]] = False
    plan = Plan(bundle.cfg, coupling, keep)
    for number, section in enumerate(bundle.cfg):
        if isinstance(section, Conv) and section.batch_normalize:
            gone = torch.from_numpy(~plan.kept(number))
            bundle.weights[f"{number}.bn.weight"][gone] = 0.0
            bundle.weights[f"{number}.bn.bias"][gone] += 1.5  # a constant that cannot be missed
    return plan


BETWEEN = {
    "convolution": "",
    "route": "[route]\nlayers=-1\n",
    "route of two": BN.format(3, 1, "leaky") + "[route]\nlayers=-1,-2\n",
    "upsample": "[upsample]\nstride=2\n",
    "maxpool": "[maxpool]\nsize=3\nstride=2\n",
    "spp": "[maxpool]\nsize=5\nstride=1\n[route]\nlayers=-1,-2\n",
    "shortcut": BN.format(6, 1, "leaky") + "[shortcut]\nfrom=-2\nactivation=linear\n",
    "activated shortcut": BN.format(6, 1, "leaky") + "[shortcut]\nfrom=-2\nactivation=mish\n",
    "split": BN.format(6, 1, "leaky") + "[route]\nlayers=-1,-2\ngroups=2\ngroup_id=1\n",
    "avgpool": "[avgpool]\n",
    "dropout": "[dropout]\n",
    "crop": "[crop]\nnoadjust=1\ncrop_height=8\ncrop_width=8\n",
    "batchnorm": "[batchnorm]\n",
    "depthwise with a bias": "[convolutional]\nfilters=6\ngroups=6\nsize=1\nactivation=leaky\n",
}
GATE = (
    "[avgpool]\n[convolutional]\nfilters=6\nactivation=logistic\n"
    "[scale_channels]\nfrom=-3\nactivation=linear\n"
)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("activation", ["leaky", "mish", "relu", "swish"])
def test_absorb_is_exact_through_what_reads_pixel_by_pixel(
    activation, between, lively_bundle, lively_images
):
    text = BN.format(6, 3, activation) + BETWEEN[between] + BN.format(5, 1, "leaky") + LINEAR
    cfg = parse("[net]\nwidth=16\nheight=16\n" + text)
    bundle = lively_bundle(cfg)
    plan = _dead(bundle, 0, [1, 4])
    images = lively_images(cfg)
    before, plain = run(bundle, images), run(take(bundle, plan), images)
    after = run(take(absorb(bundle, plan), plan), images)
    assert plan.ratio > 0
    scale = before.abs().max()
    assert (after - before).abs().max() <= 1e-5 * scale
    assert (plain - before).abs().max() > 1e-3 * scale


@pytest.mark.parametrize("pool", ["", "[avgpool]\n", "[local_avgpool]\nsize=2\nstride=2\n"])
@pytest.mark.parametrize("norm", [0, 1])
def test_absorb_is_exact_before_a_fully_connected_section(pool, norm, lively_bundle, lively_images):
    top = f"[connected]\nbatch_normalize={norm}\noutput=5\nactivation=leaky\n"
    text = "[net]\nwidth=8\nheight=8\n" + BN.format(6, 3, "relu") + pool + top
    bundle = lively_bundle(parse(text))
    plan, images = _dead(bundle, 0, [1, 4]), lively_images(bundle.cfg)
    before, plain = run(bundle, images), run(take(bundle, plan), images)
    after = run(take(absorb(bundle, plan), plan), images)
    scale = before.abs().max()
    assert plan.ratio > 0 and (after - before).abs().max() <= 1e-5 * scale
    assert (plain - before).abs().max() > 1e-3 * scale


@pytest.mark.parametrize("reader", [3, 5])
def test_absorb_before_a_padded_kernel_is_exact_inside_and_better_at_the_border(
    reader, lively_bundle, lively_images
):
    text = BN.format(6, 3, "leaky") + BN.format(5, reader, "leaky") + LINEAR
    cfg = parse("[net]\nwidth=16\nheight=16\n" + text)
    bundle = lively_bundle(cfg)
    plan = _dead(bundle, 0, [1, 4])
    images = lively_images(cfg)
    before, plain = run(bundle, images), run(take(bundle, plan), images)
    after = run(take(absorb(bundle, plan), plan), images)
    edge = reader // 2
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    scale = before.abs().max()
    assert (after - before)[inside].abs().max() <= 1e-5 * scale
    assert (after - before).square().mean() < 0.5 * (plain - before).square().mean()
    border = torch.ones(16, 16, dtype=torch.bool)
    border[edge:-edge, edge:-edge] = False
    wrong, missing = ((x - before)[..., border].square().mean() for x in (after, plain))
    assert 0 < wrong < missing


def test_absorb_follows_a_dead_depthwise_channel(lively_bundle, lively_images):
    depthwise = BN.format(6, 1, "leaky") + "groups=6\n"
    text = BN.format(6, 3, "leaky") + depthwise + BN.format(5, 1, "leaky") + LINEAR
    cfg = parse("[net]\nwidth=16\nheight=16\n" + text)
    bundle = lively_bundle(cfg)
    plan = _dead(bundle, 0, [2, 3])
    bundle.weights["1.bn.weight"][[2, 3]] = 0.7  # alive, but its input is a constant
    images = lively_images(cfg)
    before, plain = run(bundle, images), run(take(bundle, plan), images)
    after = run(take(absorb(bundle, plan), plan), images)
    assert (after - before).abs().max() <= 1e-5 * before.abs().max()
    assert (plain - before).abs().max() > 1e-3 * before.abs().max()


@pytest.mark.parametrize("between", [GATE, "[convolutional]\nfilters=6\nactivation=relu\n"])
def test_of_an_unknown_input_a_depthwise_channel_is_not_taken_for_a_constant(
    between, lively_bundle
):
    """What it sends follows from its own BatchNorm, whatever it reads."""
    depthwise = BN.format(6, 3, "relu") + "groups=6\n"
    reader = BN.format(5, 1, "leaky")
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n" + BN.format(6, 3, "leaky") + between + depthwise + reader
    )
    bundle, last = lively_bundle(cfg), len(cfg) - 1
    coupling = couple(cfg)
    keep = np.ones(coupling.n_classes, bool)
    keep[coupling.classes(last - 1)[[1, 4]]] = False
    shifted = absorb(bundle, Plan(cfg, coupling, keep)).weights[f"{last}.bn.running_mean"]
    beta, gamma = (bundle.weights[f"{last - 1}.bn.{name}"].float() for name in ("bias", "weight"))
    mean = Sent.normal(beta, gamma.abs()).activated("relu").mean[[1, 4]]
    heard = bundle.weights[f"{last}.conv.weight"].sum(dim=(2, 3))[:, [1, 4]] @ mean.double()
    expected = bundle.weights[f"{last}.bn.running_mean"] - heard
    torch.testing.assert_close(shifted, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_moments_are_those_of_many_draws(activation):
    mean = torch.tensor([-1.5, -0.3, 0.0, 0.8, 2.0])
    std = torch.tensor([0.2, 1.0, 0.5, 0.7, 1.5])
    found = Sent.normal(mean, std).activated(activation)
    draws = torch.randn(200_000, 5, generator=torch.Generator().manual_seed(0))
    values = ACTIVATION_FUNCTIONS[activation](mean + std * draws)
    torch.testing.assert_close(found.mean, values.mean(dim=0), atol=0.03, rtol=0.01)
    torch.testing.assert_close(found.std, values.std(dim=0), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_constant_is_sent_exactly(activation):
    mean = torch.linspace(-3, 3, 7)
    found = Sent.normal(mean, torch.zeros(7)).activated(activation)
    torch.testing.assert_close(found.mean, ACTIVATION_FUNCTIONS[activation](mean), rtol=0, atol=0)
    assert not found.std.any()


def test_the_mean_of_what_reads_a_live_channel_stays(lively_bundle, lively_images):
    """Dropped channels vary: what their reader sees keeps its mean, not its value."""
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=1\nactivation={}\n"
    cfg = parse("[net]\nwidth=16\nheight=16\n" + conv.format(8, "leaky") + conv.format(6, "linear"))
    images = lively_images(cfg, batch=32)
    bundle = recalibrate(lively_bundle(cfg), [images])
    coupling = couple(cfg)
    keep = np.ones(coupling.n_classes, bool)
    keep[coupling.classes(0)[[1, 4, 6]]] = False
    plan = Plan(cfg, coupling, keep)

    def seen(candidate):
        return run(candidate, images).mean(dim=(0, 2, 3))

    before, plain = seen(bundle), seen(take(bundle, plan))
    after = seen(take(absorb(bundle, plan), plan))
    assert (after - before).abs().max() < 0.1 * (plain - before).abs().max()
