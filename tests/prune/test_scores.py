"""What a channel is worth, and how the channels of a class become one score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, couple, parse
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.cut import take
from yolo_slim.prune.importance import IMPORTANCES
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.scores import REDUCERS, Scoring, member_values, score_classes
from yolo_slim.zoo import build

NET = "[net]\nwidth=16\nheight=16\nchannels=3\n"


def conv(filters: int, size: int = 1, groups: int = 1, bn: int = 1) -> str:
    return (
        f"[convolutional]\nbatch_normalize={bn}\nfilters={filters}\nsize={size}\npad=1\n"
        f"groups={groups}\nactivation=leaky\n"
    )


END = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
ADD = "[shortcut]\nfrom={}\nactivation=linear\n"
GROUPED = NET + conv(6, 3) + conv(8, 3, groups=2) + conv(6, 3) + conv(6, 3, groups=6) + END


def values_of(bundle: Bundle, importance: str, **more) -> dict[int, np.ndarray]:
    return member_values(bundle, couple(bundle.cfg), Scoring(importance, **more))


def set_numbers(bundle: Bundle, key: str, numbers) -> None:
    tensor = bundle.weights[key]
    tensor.copy_(torch.tensor(numbers, dtype=tensor.dtype).view(tensor.shape))


# --- importances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny-mobilenetv2"])
def test_norms_and_distances_of_own_kernels_one_by_one(name, random_bundle):
    bundle = random_bundle(build(name, 2, 64))
    l1, l2, fpgm = (values_of(bundle, name) for name in ("l1", "l2", "fpgm"))
    assert len(l1) == sum(isinstance(section, Conv) for section in bundle.cfg)
    for index in list(l1)[:5]:
        kernel = bundle.weights[f"{index}.conv.weight"].flatten(1).numpy()
        for channel in range(len(kernel)):
            mine = kernel[channel]
            assert l1[index][channel] == pytest.approx(np.abs(mine).sum())
            assert l2[index][channel] == pytest.approx(np.sqrt((mine**2).sum()))
            apart = sum(np.sqrt(((mine - other) ** 2).sum()) for other in kernel)
            assert fpgm[index][channel] == pytest.approx(apart, abs=1e-6)


def test_the_kernel_in_the_middle_goes_first_whatever_its_norm(random_bundle):
    bundle = random_bundle(parse(NET + conv(4) + END))
    # Norms 5, 1, 5, 6; the second is the smallest, the third lies amid the others.
    set_numbers(bundle, "0.conv.weight", [[5, 0, 0], [0, 1, 0], [4, 3, 0], [3.6, 4.8, 0]])
    far, near = values_of(bundle, "fpgm")[0].argmax(), values_of(bundle, "fpgm")[0].argmin()
    assert (near, far) == (2, 1)
    assert values_of(bundle, "l2")[0].argmin() == 1


def test_the_columns_that_read_a_channel_by_hand(random_bundle):
    """A pool, a concatenation in reverse order, and an upsampling lie between."""
    text = NET + conv(2) + "[maxpool]\nsize=2\nstride=2\n" + conv(1) + "[route]\nlayers=-1,-2\n"
    bundle = random_bundle(parse(text + "[upsample]\nstride=2\n" + END))
    set_numbers(bundle, "0.bn.weight", [0.5, -2.0])
    set_numbers(bundle, "2.bn.weight", [3.0])
    set_numbers(bundle, "2.conv.weight", [[1.0, 2.0]])  # reads both channels of section 0
    # Reads section 2 first, then section 0.
    set_numbers(bundle, "5.conv.weight", [[1, 2, 0], [0, 0, 2], [2, 2, 4], [2, 0, 4]])
    heard = values_of(bundle, "gamma-kernel")
    assert heard[0] == pytest.approx([0.5 * (1 + 8) ** 0.5, 2.0 * (4 + 36) ** 0.5])
    assert heard[2] == pytest.approx([3.0 * 9**0.5])


@pytest.mark.parametrize(
    "cfg",
    [parse(GROUPED), build("yolov3-nano", 2, 64), SMALL_NETWORKS["yolo v1"]()],
    ids=["grouped and depthwise", "yolov3-nano", "connected"],
)
def test_the_columns_are_those_that_a_cut_removes(cfg, random_bundle):
    """Of kernels that no channel of the class is an output of, the cut removes columns alone."""
    bundle = random_bundle(cfg)
    coupling = couple(cfg)
    heard, gamma = values_of(bundle, "gamma-kernel"), values_of(bundle, "gamma")
    tried = 0
    for index, values in heard.items():
        cls = coupling.classes(index)[-1]
        readers = [
            i for i in range(len(cfg))
            if cls in coupling.classes(cfg.links(i)[0]) and cls not in coupling.classes(i)
        ]  # fmt: skip
        writes_too = any(
            cls in coupling.classes(i) and cls in coupling.classes(cfg.links(i)[0])
            for i, s in enumerate(cfg)
            if isinstance(s, Conv) and not is_depthwise(s, len(coupling.classes(cfg.links(i)[0])))
        )
        if not coupling.free[cls] or writes_too:
            continue
        keep = np.ones(coupling.n_classes, bool)
        keep[cls] = False
        taken = take(bundle, Plan(cfg, coupling, keep))
        keys = [
            f"{i}.{part}.weight" for i in readers for part in ("conv", "connected")
            if f"{i}.{part}.weight" in bundle.weights
        ]  # fmt: skip
        lost = sum(float((b.weights[k] ** 2).sum()) * sign
                   for k in keys for b, sign in ((bundle, 1), (taken, -1)))  # fmt: skip
        assert values[-1] == pytest.approx(gamma[index][-1] * lost**0.5)
        tried += 1
    assert tried >= 2


def test_random_is_a_number_a_class_that_the_seed_decides(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    coupling = couple(bundle.cfg)
    first, again, other = (
        score_classes(bundle, coupling, Scoring("random", normalize="none", seed=seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    finite = np.isfinite(first)
    np.testing.assert_array_equal(finite, coupling.free)
    assert (first[finite] != other[finite]).all()
    assert 0 <= first[finite].min() and first[finite].max() < 1
    shared = np.bincount(coupling.class_of) > 1
    # Sharing gives no advantage: with one number a member, the maximum would.
    assert first[finite & shared].mean() == pytest.approx(first[finite & ~shared].mean(), abs=0.1)


@pytest.mark.parametrize("importance", ["l1", "l2", "fpgm", "random"])
def test_what_has_no_gamma_is_judged_by_its_kernel(importance, random_bundle):
    bundle = random_bundle(parse(NET + conv(6) + conv(5, bn=0) + END))
    coupling = couple(bundle.cfg)
    bare = coupling.classes(1)
    assert np.isinf(score_classes(bundle, coupling, Scoring("gamma"))[bare]).all()
    assert np.isfinite(score_classes(bundle, coupling, Scoring(importance))[bare]).all()
    folded = fold_batchnorm(bundle)
    assert np.isfinite(score_classes(folded, coupling, Scoring(importance))[coupling.free]).all()


@pytest.mark.parametrize("importance", sorted(set(IMPORTANCES) - {"taylor"}))
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_every_importance_is_a_number_for_every_kind_of_section(importance, name, random_bundle):
    cfg = SMALL_NETWORKS[name]()
    bundle = random_bundle(cfg)
    coupling = couple(cfg)
    scores = score_classes(bundle, coupling, Scoring(importance))
    assert not np.isnan(scores).any() and (scores >= 0).all()
    assert np.isinf(scores[~coupling.free]).all()
    assert np.isfinite(scores).any()


# --- classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [("max", [7, 5]), ("mean", [4, 3]), ("sum", [12, 9]), ("first", [2, 3])],
)
def test_three_members_by_hand(reduce, expected, random_bundle):
    """Section 0 opens the stage, 1 and 3 add to it."""
    text = NET + conv(2) + conv(2) + ADD.format(-2) + conv(2) + ADD.format(-2) + END
    bundle = random_bundle(parse(text))
    for index, numbers in ((0, [2, 3]), (1, [-7, 1]), (3, [3, 5])):
        set_numbers(bundle, f"{index}.bn.weight", numbers)
    coupling = couple(bundle.cfg)
    scores = score_classes(bundle, coupling, Scoring("gamma", reduce))
    assert scores[coupling.classes(0)] == pytest.approx(expected)


@pytest.mark.parametrize(("reduce", "expected"), [("first", [1, 2, 3]), ("max", [9, 8, 3])])
def test_two_members_of_one_layer_by_hand(reduce, expected, random_bundle):
    """A split ties channel k to channel k + 3 of the same convolution."""
    text = NET + conv(6) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + END
    bundle = random_bundle(parse(text))
    set_numbers(bundle, "0.bn.weight", [1, 2, 3, 9, 8, 0.5])
    coupling = couple(bundle.cfg)
    scores = score_classes(bundle, coupling, Scoring("gamma", reduce))
    assert scores[coupling.classes(0)[:3]] == pytest.approx(expected)


def test_reducers_agree_where_a_class_has_one_member():
    values, classes = np.array([4.0, 1.0, 2.0]), np.array([2, 0, 1])
    for reduce in REDUCERS.values():
        assert reduce(values, classes, 4)[:3].tolist() == [1.0, 2.0, 4.0]


def test_regular_lets_only_go_what_nothing_is_tied_to(random_bundle):
    text = NET + conv(4) + conv(5) + conv(4) + ADD.format(-3) + conv(6, groups=2) + conv(3) + END
    bundle = random_bundle(parse(text))
    coupling = couple(bundle.cfg)
    regular = score_classes(bundle, coupling, Scoring(which="regular"))
    everything = score_classes(bundle, coupling)
    np.testing.assert_array_equal(np.isfinite(everything), coupling.free)
    for index, alone in ((0, False), (1, True), (2, False), (4, False), (5, True)):
        classes = coupling.classes(index)
        assert np.isfinite(regular[classes]).all() == alone
        assert np.isfinite(regular[classes]).any() == alone
    np.testing.assert_array_equal(regular[np.isfinite(regular)], everything[np.isfinite(regular)])


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [({"importance": "gama"}, "--importance gama: unknown; expected one of gamma, gamma-kernel"),
     ({"reduce": "median"}, "--reduce median"), ({"normalize": "all"}, "--normalize all"),
     ({"which": "some"}, "--which some: unknown; expected one of shortcut, regular"),
     ({"seed": -1}, "--seed -1: expected 0 or more")],
)  # fmt: skip
def test_an_unknown_way_of_scoring_is_named(more, told):
    with pytest.raises(InputError, match=told):
        Scoring(**more)


@pytest.mark.parametrize(
    ("evidence", "told"),
    [(None, "pass evidence=taylor_evidence"),
     ({0: np.ones(3)}, r"section 0 has shape \(3,\).* needs \(6,\)"),
     ({9: np.ones(6)}, "needs no such section"),
     ({-1: np.ones(4)}, "needs no such section"),
     ({0: np.array([1, 2, 3, -4, 5, 6.0])}, "negative or not finite"),
     ({0: np.full(6, np.nan)}, "negative or not finite")],
)  # fmt: skip
def test_evidence_that_does_not_fit_is_refused(evidence, told, random_bundle):
    bundle = random_bundle(parse(NET + conv(6) + END))
    with pytest.raises(InputError, match=told):
        score_classes(bundle, couple(bundle.cfg), Scoring("taylor", evidence=evidence))
