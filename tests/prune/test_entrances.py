"""A block that no longer reads a channel computes what it did when that channel was silent."""

import numpy as np
import pytest
import torch

from yolo_slim.cfg import Batchnorm, Conv, Select, parse, render, totals
from yolo_slim.cfg.entrances import entrances
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.cut import mask, take
from yolo_slim.prune.entrances import mask_entrances, plan_entrances, take_entrances
from yolo_slim.prune.place import plan_ratio
from yolo_slim.weights import check_weights, network_of
from yolo_slim.zoo import build

NAMES = ["preresnet20", "preresnet164", "densenet40"]


def run(bundle, images):
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(images)[0]


@pytest.fixture(params=NAMES)
def bundle(request, lively_bundle):
    return lively_bundle(build(request.param, 10, 32))


@pytest.mark.parametrize("ratio", [0.2, 0.7])
def test_taken_is_masked(bundle, ratio, lively_images):
    kept = plan_entrances(bundle, ratio)
    images = lively_images(bundle.cfg)
    taken = take_entrances(bundle, kept)
    check_weights(taken.cfg, taken.weights)
    assert parse(render(taken.cfg)) == taken.cfg
    a, b = run(mask_entrances(bundle, kept), images), run(taken, images)
    assert (a - b).abs().max() <= 1e-9 * a.abs().max()
    assert (a - run(bundle, images)).abs().max() > 1e-3 * a.abs().max()  # the cut is felt
    assert totals(taken.cfg).macs < totals(bundle.cfg).macs


def test_the_lowest_gammas_go_and_a_floor_stays(bundle):
    kept = plan_entrances(bundle, 0.6, layer_keep=0.1)
    gammas = {norm: bundle.weights[f"{norm}.bn.weight"].abs().numpy() for norm in kept}
    n_gone = sum(int((~mask).sum()) for mask in kept.values())
    n_all = sum(map(len, kept.values()))
    floors = [norm for norm, mask in kept.items() if mask.sum() == np.ceil(0.1 * len(mask))]
    if not floors:
        assert n_gone == round(0.6 * n_all)
    best_gone = max(gammas[n][~m].max() for n, m in kept.items() if n not in floors and not m.all())
    worst_kept = min(gammas[n][m].min() for n, m in kept.items() if n not in floors)
    assert best_gone <= worst_kept
    assert all(mask.sum() >= max(1, 0.1 * len(mask)) for mask in kept.values())


def test_channels_can_be_cut_after_it_and_the_law_holds_there(lively_bundle, lively_images):
    bundle = lively_bundle(build("preresnet20", 10, 32))
    selected = take_entrances(bundle, plan_entrances(bundle, 0.5))
    plan = plan_ratio(selected, 0.4)
    masked = mask(selected, plan)
    images = lively_images(bundle.cfg)
    a, b = run(masked, images), run(take(masked, plan), images)
    assert plan.ratio > 0.2
    assert (a - b).abs().max() <= 1e-9 * a.abs().max()


def test_an_entrance_that_a_shortcut_reads_too_is_none():
    cfg = build("preresnet20", 10, 32)
    norms = [index for index, section in enumerate(cfg) if isinstance(section, Batchnorm)]
    found = entrances(cfg)
    assert 0 < len(found) < len(norms)
    for entrance in found:
        assert all(isinstance(cfg[conv], Conv) for conv in entrance.convs)
    assert not any(isinstance(section, Select) for section in cfg)


def test_a_convolution_of_signs_is_none():
    """The sign of 0 is not 0: what is silenced is still heard."""
    conv = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\nactivation=relu\n"
    text = f"[net]\nwidth=8\nheight=8\n{conv}[batchnorm]\n{conv}"
    assert entrances(parse(text)) and not entrances(parse(text + "xnor=1\n"))


def test_networks_without_entrances_and_folded_ones_are_refused(random_bundle):
    with pytest.raises(InputError, match="no BatchNorm before its convolutions"):
        plan_entrances(random_bundle(build("yolov3-nano", 2, 64)), 0.5)
    bundle = random_bundle(build("preresnet20", 10, 32))
    with pytest.raises(InputError, match="--select 1"):
        plan_entrances(bundle, 1.0)
    folded = fold_batchnorm(bundle)
    if folded.is_folded:
        with pytest.raises(InputError, match="needs BatchNorm"):
            plan_entrances(folded, 0.5)
