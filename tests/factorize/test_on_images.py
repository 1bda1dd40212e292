"""Factors chosen on images: what they lose there, measured by running them, is the least."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse
from yolo_slim.errors import InputError
from yolo_slim.factorize.apply import factorize
from yolo_slim.factorize.judge import Judge, scale_of
from yolo_slim.factorize.moments import Calibration, gather, patches
from yolo_slim.factorize.plan import Plan
from yolo_slim.factorize.sites import Ranks
from yolo_slim.weights import network_of

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation=leaky\n"
TEXT = (
    "[net]\nwidth=20\nheight=16\nchannels=3\n" + CONV.format(12, 3)
    + CONV.format(16, 3) + "stride=2\n"  # 1
    + CONV.format(8, 1)  # 2
    + CONV.format(24, 1)  # 3
    + CONV.format(10, 3) + "dilation=2\n"  # 4
    + CONV.format(20, 3)  # 5
    + "[connected]\noutput=9\nactivation=relu\n[connected]\noutput=4\nactivation=linear\n"
)  # fmt: skip
FORMS = {
    1: [Ranks(None, 5), Ranks(4, None), Ranks(5, 6)],
    2: [Ranks(None, 3)],
    3: [Ranks(None, 4)],
    4: [Ranks(None, 3), Ranks(6, None), Ranks(8, 3)],
    5: [Ranks(3, None), Ranks(3, 5)],
    6: [Ranks(None, 3)],
}
CASES = [(index, ranks) for index, forms in FORMS.items() for ranks in forms]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    coarse = torch.rand(24, 3, 4, 5, generator=draw).double()
    return F.interpolate(coarse, (16, 20), mode="bilinear") + 0.05 * torch.rand(
        24, 3, 16, 20, generator=draw
    )


@pytest.fixture
def bundle(random_bundle) -> Bundle:
    return random_bundle(parse(TEXT))


def shown(images: torch.Tensor) -> Calibration:
    return Calibration(lambda: images.split(7), len(images))


def before_activation(bundle: Bundle, index: int, images: torch.Tensor) -> torch.Tensor:
    """What goes into the activation of a section, [O, values]."""
    with torch.no_grad():
        network = network_of(bundle.cfg, bundle.weights)
        taps = network.forward_with_taps(images, [index], before_activation=True)[1]
    return taps[index].transpose(0, 1).flatten(1)


def lost(bundle: Bundle, judge: Judge, index: int, ranks: Ranks, images: torch.Tensor):
    """What the judge's factors of one section lose on images, of what counts there: the mean square
    of the difference, and the variance that it is told as a share of; and what was told."""
    plan = Plan(bundle.cfg, {index: ranks})
    done = factorize(judge, plan)
    place = plan.written[1][index]
    whole = before_activation(bundle, index, images)
    found = before_activation(done.bundle, place, images)
    scale = scale_of(bundle, index, on_images=True)
    if f"{index}.bn.weight" in bundle.weights:  # a tap is behind the BatchNorm
        scale = scale / scale_of_norm(bundle, index)
    counted = scale[:, None]
    energy = (counted * whole).var(dim=1, correction=0).sum()
    (row,) = (row for row in done.rows if row.section == index)
    return (counted * (found - whole)).square().mean(dim=1).sum() / energy, row.energy


def scale_of_norm(bundle: Bundle, index: int) -> torch.Tensor:
    gamma, variance = (bundle.weights[f"{index}.bn.{key}"] for key in ("weight", "running_var"))
    return gamma.abs() / (variance + bundle.cfg.net.bn_eps).sqrt()


@pytest.mark.parametrize(("index", "ranks"), CASES, ids=str)
def test_images_lose_less_than_weights_and_as_much_as_is_told(index, ranks, bundle, images):
    by_images = Judge(bundle, "tucker", shown=shown(images))
    by_weights = Judge(bundle, "tucker")
    at_images, told = lost(bundle, by_images, index, ranks, images)
    at_weights, _ = lost(bundle, by_weights, index, ranks, images)
    assert told == pytest.approx(1 - float(at_images), abs=1e-9)
    assert at_images <= at_weights
    assert at_weights > 1e-3  # there was something to lose


def test_the_mean_of_the_output_stays(bundle, images):
    judge = Judge(bundle, "tucker", shown=shown(images))
    for index, ranks in ((1, Ranks(4, 5)), (2, Ranks(None, 3)), (4, Ranks(6, None))):
        plan = Plan(bundle.cfg, {index: ranks})
        done = factorize(judge, plan).bundle
        whole = before_activation(bundle, index, images).mean(dim=1)
        found = before_activation(done, plan.written[1][index], images).mean(dim=1)
        torch.testing.assert_close(found, whole)


def test_channels_that_no_image_shows_cost_nothing(random_bundle, images):
    """Of 10 channels all are mixtures of 3: the images see it, the weights of the next do not."""
    linear = CONV.replace("leaky", "linear").replace("batch_normalize=1\n", "")
    text = "[net]\nwidth=20\nheight=16\n" + linear.format(10, 1) + CONV.format(16, 3)
    bundle = random_bundle(parse(text + CONV.format(4, 1)))
    for ranks in (Ranks(3, None), Ranks(3, 12)):
        judge = Judge(bundle, "tucker", shown=shown(images))
        at_images, _ = lost(bundle, judge, 1, Ranks(ranks.read), images)
        at_weights, _ = lost(bundle, Judge(bundle, "tucker"), 1, Ranks(ranks.read), images)
        assert at_images < 1e-3 < 0.1 < at_weights


def test_all_sums_need_not_fit_into_memory_together(bundle, images, monkeypatch):
    judge = Judge(bundle, "tucker", shown=shown(images))
    plan = Plan(bundle.cfg, {1: Ranks(4, 5), 2: Ranks(None, 3), 4: Ranks(6), 5: Ranks(3, 5)})
    together = factorize(judge, plan).bundle.weights
    monkeypatch.setattr("yolo_slim.factorize.apply.MAX_SUMS_BYTES", 1)
    alone = factorize(judge, plan).bundle.weights
    assert together.keys() == alone.keys()
    assert all(torch.equal(together[key], alone[key]) for key in together)


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}]
)
def test_patches_are_those_of_unfold(options):
    conv = torch.nn.Conv2d(3, 4, 3, **options)
    x = torch.rand(2, 3, 9, 7)
    whole = F.unfold(x, 3, **options)  # [B, C * K, L]
    places = torch.tensor([0, 5, whole.shape[2] - 1])
    expected = whole[:, :, places].transpose(1, 2).reshape(6, 3, 9)
    assert torch.equal(patches(conv, x, places), expected)


def test_of_many_places_some_are_looked_at_the_same_each_time(bundle, images, monkeypatch):
    whole = gather(bundle, [0, 1], shown(images))
    assert whole[0].count == 24 * 16 * 20
    monkeypatch.setattr("yolo_slim.factorize.moments.MAX_SAMPLES", 24 * 30)
    some, again = (gather(bundle, [0, 1], shown(images)) for _ in range(2))
    assert some[0].count == some[1].count == 24 * 30
    assert torch.equal(some[0].written, again[0].written)
    assert 0.5 < some[0].written.trace() / whole[0].written.trace() < 2


def test_no_images_are_refused(bundle):
    with pytest.raises(InputError, match="the data set gave none"):
        Judge(bundle, shown=Calibration(list, 0))
