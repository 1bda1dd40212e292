"""The sweep spends its measurements at the cliff; sensitivity cuts one group alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from yolo_slim.cfg import Conv, couple, parse
from yolo_slim.prune.cut import take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.scores import DEFAULT_SCORING, Scoring, score_classes
from yolo_slim.prune.sensitivity import SHARES, groups, sensitivity
from yolo_slim.prune.sweep import FINEST, GRID, sweep
from yolo_slim.zoo import build

BN = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=1\nactivation=leaky\n"
LINEAR = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"


class Cliff:
    """A detector whose AP is 0.6 up to a ratio, and falls to `after` there."""

    def __init__(self, bundle, at, after=0.0):
        self.bundle, self.at, self.after = bundle, at, after
        self.asked = []

    def cut(self, ratio):
        self.asked.append(ratio)
        return take(self.bundle, plan_ratio(self.bundle, ratio))

    def score(self, bundle):
        ap = 0.6 if not self.asked or self.asked[-1] <= self.at else self.after
        return {"AP": ap, "AP50": ap}


@pytest.fixture
def bundle(random_bundle):
    return random_bundle(build("yolov3-nano", 2, 64))


@pytest.mark.parametrize("at", [0.137, 0.55, 0.893])
def test_the_edge_of_the_cliff_is_found_to_a_hundredth(bundle, at):
    cliff = Cliff(bundle, at)
    points = sweep(bundle, cliff.cut, cliff.score)
    ratios = [point.ratio for point in points]
    assert ratios == sorted(set(ratios)) and ratios[0] == 0
    last_good = max(point.ratio for point in points if point.AP == 0.6)
    first_bad = min(point.ratio for point in points if point.AP == 0)
    assert last_good <= at < first_bad and first_bad - last_good < 2 * FINEST


def test_it_stops_once_all_is_lost_and_measures_what_was_cut(bundle):
    cliff = Cliff(bundle, 0.25)
    seen = []
    points = sweep(bundle, cliff.cut, cliff.score, lambda b: 7.0, n_closer=0,
                   progress=lambda done, of: seen.append((done, of)))  # fmt: skip
    assert cliff.asked == [0.1, 0.2, 0.3]
    assert seen[0] == (1, 11) and seen[-1] == (11, 11) and seen == sorted(seen)
    assert all(a.parameters > b.parameters for a, b in pairwise(points))
    assert {point.latency_ms for point in points} == {7.0}


def test_a_fall_that_leaves_something_is_followed_to_the_end_of_the_grid(bundle):
    cliff = Cliff(bundle, 0.25, after=0.3)
    sweep(bundle, cliff.cut, cliff.score, n_closer=0)
    assert cliff.asked[-1] == 0.95


def test_the_same_cut_is_not_measured_twice(bundle):
    cliff, scored = Cliff(bundle, 2), []
    capped = {r: take(bundle, plan_ratio(bundle, min(r, 0.45))) for r in GRID}

    def score(candidate):
        scored.append(candidate)
        return cliff.score(candidate)

    points = sweep(bundle, capped.__getitem__, score, n_closer=0)
    assert [point.ratio for point in points] == [0, *GRID]
    assert len(scored) == 6  # uncut, 0.1 to 0.4, and all the others alike
    assert len({point.macs for point in points}) == 6


def test_level_quality_needs_no_closer_look(bundle):
    cliff = Cliff(bundle, 2)
    assert len(sweep(bundle, cliff.cut, cliff.score)) == 11


def test_a_residual_stage_is_one_group_and_a_depthwise_layer_belongs_to_its_source():
    cfg = parse(
        "[net]\nwidth=8\nheight=8\n" + BN.format(6) + BN.format(3) + BN.format(6)
        + "[shortcut]\nfrom=-3\nactivation=linear\n" + BN.format(4) + BN.format(4) + "groups=4\n"
        + LINEAR
    )  # fmt: skip
    found = groups(cfg, couple(cfg))
    assert [group.sections for group in found] == [(0, 2), (1,), (4, 5)]
    assert [group.label for group in found] == ["0 +1", "1", "4 +1"]


def test_each_group_is_cut_alone_and_never_whole(bundle):
    coupling = couple(bundle.cfg)
    scores = score_classes(bundle, coupling)
    plans = []

    def score(plan):
        plans.append(plan)
        return float(plan.keep.mean())

    found = sensitivity(bundle, DEFAULT_SCORING, score, (0.5, 1.0))
    assert len(plans) == 2 * len(found) > 10
    covered = set()
    for group, half, all_but_one in zip(found, plans[::2], plans[1::2], strict=True):
        gone, more = (set(np.flatnonzero(~plan.keep)) for plan in (half, all_but_one))
        assert gone < more < set(group.classes)
        assert len(more) == len(group.classes) - 1
        left = [scores[cls] for cls in group.classes if cls not in gone]
        assert max(scores[list(gone)]) <= min(left)
        covered |= set(group.classes)
    assert covered == set(np.flatnonzero(coupling.free))
    assert {s for group in found for s in group.sections} == {
        i for i, s in enumerate(bundle.cfg)
        if isinstance(s, Conv) and coupling.free[coupling.classes(i)].any()
    }  # fmt: skip
    assert len(SHARES) == 3


def test_of_a_layer_within_a_group_one_channel_stays(random_bundle):
    """The depthwise convolution reads two layers: all channels of each are among its own."""
    cfg = parse(
        "[net]\nwidth=8\nheight=8\n" + BN.format(4) + BN.format(4) + "[route]\nlayers=-1,-2\n"
        + BN.format(8) + "groups=8\n" + LINEAR
    )  # fmt: skip
    bundle = random_bundle(cfg)
    for section, gammas in ((0, [1, 2, 3, 4]), (1, [5, 6, 7, 8]), (3, [5, 6, 7, 8, 1, 2, 3, 4])):
        bundle.weights[f"{section}.bn.weight"] = torch.tensor(gammas, dtype=torch.float64)
    widths = []

    def score(plan):
        widths.append([plan.narrowed[section].filters for section in (0, 1, 3)])
        return 0.0

    sensitivity(bundle, Scoring("gamma"), score, (0.5,))
    # The first layer alone, the second alone, then the four lowest of both: all of the first.
    assert widths == [[2, 4, 6], [4, 2, 6], [1, 4, 5]]


@pytest.mark.parametrize("which", ["regular", "shortcut"])
def test_what_may_not_go_stays(which, bundle):
    scoring = Scoring(which=which)
    frozen = ~np.isfinite(score_classes(bundle, couple(bundle.cfg), scoring))

    def score(plan):
        assert plan.keep[frozen].all()
        return 0.0

    assert sensitivity(bundle, scoring, score)
