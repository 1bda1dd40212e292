"""Which blocks go: the lowest, by ranks computed by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from cfg_pieces import CONV, HEAD, NET, YOLO
from silenced import silenced

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    Cfg,
    measure,
    parse,
    residual_blocks,
    totals,
)
from yolo_slim.errors import InputError
from yolo_slim.prune.layer_rank import drop_one, gamma, last_norms, similarity
from yolo_slim.prune.layers import plan_layers, plan_layers_to, take_layers
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

ADD = "[shortcut]\nfrom={}\nactivation=linear\n"


def of(values: list[float]):
    """A rank that knows its numbers by heart."""
    return lambda bundle, blocks: np.array(values, dtype=np.float64)


def test_the_lowest_go_in_their_order_and_ties_by_their_place(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    blocks = residual_blocks(bundle.cfg)
    plan = plan_layers(bundle, 4, of([3, 1, 2, 1, 9, 0]))
    assert plan.dropped == tuple(blocks[k] for k in (5, 1, 3, 2))
    assert plan.blocks == blocks
    assert plan_layers(bundle, 6, of([3, 1, 2, 1, 9, 0])).dropped[4:] == (blocks[0], blocks[4])


def test_a_block_that_holds_another_waits_for_it(random_bundle):
    text = CONV + CONV + CONV + ADD.format(1) + CONV + ADD.format(0) + CONV + ADD.format(5)
    bundle = random_bundle(parse(NET + text + HEAD + YOLO))
    inner, outer, after = residual_blocks(bundle.cfg)
    assert outer.holds(inner)
    assert plan_layers(bundle, 1, of([5, 0, 9])).dropped == (inner,)
    assert plan_layers(bundle, 2, of([5, 0, 9])).dropped == (inner, outer)
    assert plan_layers(bundle, 2, of([5, 0, 1])).dropped == (after, inner)
    for n in (1, 2, 3):
        plan = plan_layers(bundle, n, of([5, 0, 9]))
        taken = take_layers(bundle, plan.dropped)
        assert len(residual_blocks(taken.cfg)) == 3 - n


def n_blocks(cfg: Cfg) -> float:
    return float(len(residual_blocks(cfg)))


@pytest.mark.parametrize("target", [0, 2, 3.5, 5, 6])
def test_as_few_go_as_meet_a_cost(target, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    rank = of([3, 1, 2, 1, 9, 0])
    plan = plan_layers_to(bundle, n_blocks, target, rank)
    n = 6 - int(target)
    assert plan.dropped == (plan_layers(bundle, n, rank).dropped if n else ())


def test_a_cost_out_of_reach_is_told_before_anything_is_ranked(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    told = r"-1 ms cannot be reached by layers alone: without all 6 blocks that could go it is 0 ms"
    with pytest.raises(InputError, match=told):
        plan_layers_to(bundle, n_blocks, -1, lambda *_: pytest.fail("ranked"), "{:.0f} ms".format)


@pytest.mark.parametrize("n", [0, -1, 7, 100])
def test_more_than_there_are_is_refused_before_anything_is_ranked(n, random_bundle):
    def ranked(*_):
        raise AssertionError

    bundle = random_bundle(build("yolov3-nano", 2, 64))
    with pytest.raises(InputError, match=f"--layers {n}: yolov3-nano has 6 .* 1 to 6"):
        plan_layers(bundle, n, ranked)
    with pytest.raises(InputError, match="no residual block"):
        plan_layers(random_bundle(build("yolov3-tiny", 2, 64)), 1, ranked)


# --- ranks ----------------------------------------------------------------------------------------


def test_gamma_by_hand(random_bundle):
    """Two stages, of two blocks and of one; a level of gamma is a stage's, not a block's."""
    half = CONV.replace("stride=1", "stride=2")
    text = (CONV + CONV + CONV + ADD.format(0) + CONV + CONV + ADD.format(3) + half + CONV
            + ADD.format(7))  # fmt: skip
    bundle = random_bundle(parse(NET + text + HEAD + YOLO))
    for index, values in {2: 0.1, 5: -0.3, 8: 7.0, 1: 50.0, 4: 0.0}.items():
        bundle.weights[f"{index}.bn.weight"][:] = values
    blocks = residual_blocks(bundle.cfg)
    assert gamma(bundle, blocks) == pytest.approx([0.5, 1.5, 1.0])
    bundle.weights["2.bn.weight"] *= 40
    bundle.weights["5.bn.weight"] *= 40
    assert gamma(bundle, blocks) == pytest.approx([0.5, 1.5, 1.0])
    bundle.weights["5.bn.weight"][:4] = 0.0  # a mean over channels
    assert gamma(bundle, blocks) == pytest.approx([0.8, 1.2, 1.0])


def test_gamma_is_of_the_last_batchnorm_whatever_the_block_is_made_of():
    ghost = build("yolov3-ghostnet", 2, 64)
    squeeze, pre = build("seresnet50", 10, 64), build("preresnet20", 10, 32)
    for block in residual_blocks(ghost):  # both halves: the 1x1 and the cheap depthwise one
        first, second = sorted(last_norms(ghost, block))
        assert (second - first, ghost[second].groups) == (1, ghost[first].filters)
    for block in residual_blocks(squeeze):  # the 1x1 before the gate
        (last,) = last_norms(squeeze, block)
        assert squeeze[last].filters == squeeze[block.branch[0]].filters * 4
        assert squeeze[last].activation == "linear"
    for block in residual_blocks(pre):  # that before the last convolution, which has none
        (last,) = last_norms(pre, block)
        assert last == block.shortcut - 2
        assert pre[last].batch_normalize and not pre[last + 1].batch_normalize


def test_a_branch_without_batchnorm_goes_last(random_bundle):
    bare = CONV.replace("batch_normalize=1\n", "")
    text = CONV + bare + ADD.format(0) + CONV + ADD.format(2)
    bundle = random_bundle(parse(NET + text + HEAD + YOLO))
    assert gamma(bundle, residual_blocks(bundle.cfg)).tolist() == [np.inf, 1.0]
    assert plan_layers(bundle, 1, gamma).dropped == residual_blocks(bundle.cfg)[1:]


def test_similarity_is_0_for_a_silent_block_and_the_share_of_the_branch_else(
    lively_bundle, lively_images
):
    bundle = lively_bundle(build("yolov3-nano", 2, 64))
    blocks = residual_blocks(bundle.cfg)
    images = lively_images(bundle.cfg, 3)
    scores = similarity(silenced(bundle, blocks[2]), blocks, [images])
    assert scores[2] == 0
    assert (np.delete(scores, 2) > 1e-3).all()
    block = blocks[4]
    network = network_of(bundle.cfg, bundle.weights)
    shares = []
    for image in images:
        with torch.no_grad():
            _, taps = network.forward_with_taps(image[None], [block.branch[-1], block.shortcut])
        shares.append(float(taps[block.branch[-1]].norm() / taps[block.shortcut].norm()))
    whole = similarity(bundle, blocks, [images])
    assert whole[4] == pytest.approx(np.mean(shares), rel=1e-9)


def test_similarity_does_not_depend_on_how_images_are_batched(lively_bundle, lively_images):
    bundle = lively_bundle(build("yolov3-nano", 2, 64))
    blocks = residual_blocks(bundle.cfg)
    images, seen = lively_images(bundle.cfg, 4), []
    together = similarity(bundle, blocks, [images])
    apart = similarity(bundle, blocks, images.float().double().split((1, 3)), seen.append)
    np.testing.assert_allclose(apart, together, rtol=1e-5)
    assert seen == [1, 4]
    with pytest.raises(ValueError, match="no images"):
        similarity(bundle, blocks, [])


def test_drop_one_is_what_each_block_alone_is_worth(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    blocks = residual_blocks(bundle.cfg)
    told, seen = [], []

    def score(candidate: Bundle) -> float:
        told.append(candidate)
        return totals(candidate.cfg).parameters / 1e6

    worth = drop_one(bundle, blocks, score, lambda done, of: seen.append((done, of)))
    costs = measure(bundle.cfg)
    own = [sum(costs[index].parameters for index in block.sections) / 1e6 for block in blocks]
    np.testing.assert_allclose(worth, own, rtol=1e-9)
    assert seen == [(k, 7) for k in range(1, 8)]
    assert told[0] is bundle
    assert all(len(residual_blocks(t.cfg)) == 5 for t in told[1:])
    plan = plan_layers(bundle, 2, partial(drop_one, score=score))
    assert plan.dropped == tuple(blocks[k] for k in np.argsort(own, kind="stable")[:2])
