"""Whole networks: what is planned is written, what is written runs the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from core_zoo import COMPUTED
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Cfg, Conv, couple, infer_shapes, parse, render, totals
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.factorize.apply import Factorized, factorize
from yolo_slim.factorize.judge import Judge
from yolo_slim.factorize.moments import Calibration
from yolo_slim.factorize.plan import Plan, least_macs
from yolo_slim.factorize.sites import Ranks, find_sites
from yolo_slim.fold import fold_batchnorm
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.prune.cut import mask, take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.plan import UNSCORED
from yolo_slim.prune.scores import Scoring
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.weights import check_weights, network_of
from yolo_slim.zoo import build, names

METHODS = ("svd", "tucker")
QUICK = ("yolov3-nano", "yolov3-tiny", "preresnet20", "mobilenetv2-0.5", "densenet40")
ZOO = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names()]


def small(name: str) -> Cfg:
    """At 64 px, where its matrices and pools allow."""
    if name.startswith("vgg"):
        return build(name, 10)
    size = build(name, 2).net.width
    return build(name, 2, max(32, min(64, size)))


def run(bundle: Bundle, n_images: int = 2) -> tuple[torch.Tensor, ...]:
    dtype = next(iter(bundle.weights.values())).dtype
    images = torch.rand(
        n_images, 3, *bundle.cfg.input_hw, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(images.to(dtype))


def assert_equal(bundle: Bundle, other: Bundle, tolerance: float) -> None:
    for a, b in zip(run(bundle), run(other), strict=True):
        assert torch.isfinite(a).all() and a.std() > 1e-6 * a.abs().max()
        assert (a - b).abs().max() <= tolerance * a.abs().max()


def assert_sound(bundle: Bundle, done: Factorized) -> None:
    """As planned, legal, and printed and parsed the same."""
    cfg = done.bundle.cfg
    check_weights(cfg, done.bundle.weights)
    assert parse(render(cfg)) == cfg
    assert totals(cfg).macs == done.plan.macs <= totals(bundle.cfg).macs
    assert sum(r.macs_before - r.macs_after for r in done.rows) == (
        totals(bundle.cfg).macs - totals(cfg).macs
    )
    assert all((row.into == "") == bool(row.whole) for row in done.rows)


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_factorizes_and_runs(name, random_bundle):
    bundle = random_bundle(small(name), dtype=torch.float32)
    for method in METHODS:
        judge = Judge(bundle, method)
        done = factorize(judge, judge.by_energy(0.8))
        assert_sound(bundle, done)
        assert done.plan.ranks
        assert all(torch.isfinite(output).all() for output in run(done.bundle))
        kept = [row.energy for row in done.rows if row.energy is not None]
        assert 0.8 - 1e-4 <= min(kept) and max(kept) <= 1 + 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_every_kind_of_section(name, method, random_bundle):
    bundle = random_bundle(SMALL_NETWORKS[name]())
    judge = Judge(bundle, method, with_heads=True)
    done = factorize(judge, judge.by_energy(0.6))
    assert_sound(bundle, done)
    whole = dict(done.plan.whole)
    if name == "kitchen sink":
        assert whole[1] == "section 2 uses its kernel, too"
        assert whole[2] == "uses the kernel of section 1"
        assert whole[12] == "no filter reads all channels"
        assert whole[23] == "depthwise" and whole[33] == "reads signs"
        assert whole[15] == "no rank costs less"
    _, moved = done.plan.written
    changed = set(done.plan.ranks)
    for key, tensor in bundle.weights.items():
        index, rest = key.split(".", 1)
        if int(index) not in changed:
            assert torch.equal(done.bundle.weights[f"{moved[int(index)]}.{rest}"], tensor)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("name", [*SMALL_NETWORKS, "yolov3-nano"])
def test_full_rank_computes_the_same(name, dtype, tolerance, random_bundle):
    cfg = SMALL_NETWORKS[name]() if name in SMALL_NETWORKS else build(name, 2, 64)
    bundle = random_bundle(cfg, dtype=dtype)
    judge = Judge(bundle, "tucker", with_heads=True)
    for form in ("read", "written", "both"):
        ranks = {
            index: Ranks(
                None if form == "written" or found.site.is_matrix else found.site.max_read,
                None if form == "read" and not found.site.is_matrix else found.site.max_written,
            )
            for index, found in judge.judged.items()
        }
        assert len(ranks) > 2
        assert_equal(bundle, factorize(judge, Plan(cfg, ranks)).bundle, tolerance)


@pytest.mark.parametrize("name", COMPUTED)
def test_links_of_the_zoo_survive(name):
    """Every output of a section has its old shape, and is where its readers look for it."""
    before = build(name)
    ranks = {
        site.index: Ranks(None if site.is_matrix else 2, 3)
        for site in find_sites(before, with_heads=True)
    }
    plan = Plan(before, ranks)
    cfg, moved = plan.written
    shapes = infer_shapes(cfg)
    assert [shapes[moved[i]] for i in range(len(before))] == list(infer_shapes(before))
    assert [type(cfg[moved[i]]) for i in range(len(before))] == [type(s) for s in before]
    assert cfg.heads == before.heads and totals(cfg).macs == plan.macs
    assert [cfg[i].activation for i in moved.values() if isinstance(cfg[i], Conv)] == [
        s.activation for s in before if isinstance(s, Conv)
    ]


# --- how much -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [0.9, 0.5, 0.2])
def test_a_target_is_reached_and_what_is_left_is_spent(method, target, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    judge = Judge(bundle, method)
    plan = judge.by_target(target)
    whole = totals(bundle.cfg).macs
    assert 0.97 * target * whole <= plan.macs <= target * whole
    assert set(plan.ranks) | set(plan.whole) == {site.index for site in judge.sites}
    assert not set(plan.ranks) & set(plan.whole)


def test_at_equal_macs_a_target_keeps_more_than_one_energy_for_all(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    judge = Judge(bundle, "tucker")
    alike = judge.by_energy(0.7)
    share = alike.macs / totals(bundle.cfg).macs
    chosen = factorize(judge, judge.by_target(share))
    assert chosen.plan.macs <= alike.macs

    def product(done: Factorized) -> float:
        return float(np.log([row.energy for row in done.rows if row.energy is not None]).sum())

    assert product(chosen) > product(factorize(judge, alike))


@pytest.mark.parametrize("multiple", [1, 8])
def test_the_smallest_share_that_is_named_is_reached(multiple, random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    judge = Judge(bundle, "svd", multiple)
    with pytest.raises(InputError, match=r"add --heads") as caught:
        judge.by_target(0.001)
    told = float(str(caught.value).split("the least is ")[1].split("%")[0]) / 100
    least = least_macs(bundle.cfg, "svd", multiple) / totals(bundle.cfg).macs
    assert told == pytest.approx(least, abs=5e-4)
    plan = judge.by_target(least)
    assert plan.macs / totals(bundle.cfg).macs == pytest.approx(least)
    assert {
        r % multiple for ranks in plan.ranks.values() for r in (ranks.read or 0, ranks.written or 0)
    } == {0}


def test_where_nothing_is_factored_it_is_told_why(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    judge = Judge(bundle)
    for plan, why in (
        (judge.by_target(1.0), "nothing was factored: the target is met without any"),
        (judge.by_energy(1.0), "nothing was factored: no section keeps 100.0% of its energy"),
    ):
        assert plan.notes[0].startswith(why)
        done = factorize(judge, plan)
        assert done.bundle.cfg == bundle.cfg and done.bundle.history[-1].verb == "factorize"
        assert all(torch.equal(done.bundle.weights[k], v) for k, v in bundle.weights.items())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda j: j.by_energy(0.0), "--energy 0.0: expected a share above 0, up to 1"),
        (lambda j: j.by_energy(1.1), "--energy 1.1"),
        (lambda j: j.by_target(0.0), "--target-macs 0.0: expected"),
        (lambda j: Judge(j.bundle, multiple=0), "--multiple 0: expected 1 or more"),
    ],
)
def test_numbers_out_of_range_are_named(call, told, random_bundle):
    with pytest.raises(InputError, match=told):
        call(Judge(random_bundle(build("yolov3-nano", 2, 64))))


# --- what comes before and after ------------------------------------------------------------------


@pytest.fixture
def factored(random_bundle) -> Callable[..., Bundle]:
    def make(dtype: torch.dtype = torch.float64, method: str = "tucker") -> Bundle:
        bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=dtype)
        judge = Judge(bundle, method, with_heads=True)
        return factorize(judge, judge.by_energy(0.5)).bundle

    return make


def test_a_folded_bundle_gives_the_same_factors(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    folded = fold_batchnorm(bundle)
    judges = [Judge(b) for b in (bundle, folded)]
    plans = [judge.by_energy(0.7) for judge in judges]
    assert plans[0].ranks == plans[1].ranks
    done = [factorize(j, p).bundle for j, p in zip(judges, plans, strict=True)]
    assert_equal(*done, 1e-9)


def test_the_least_share_is_reached_whichever_way_its_product_is_rounded(random_bundle):
    cfg = build("yolov3-nano", 1, 96)
    least, whole = least_macs(cfg, "svd", 8), totals(cfg).macs
    assert least / whole * whole < least  # or this test says nothing
    assert Judge(random_bundle(cfg), "svd", 8).by_target(least / whole).macs == least


def test_a_plan_of_ranks_that_another_judge_has_none_of_is_refused(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64))
    plan = Judge(bundle, "svd", 8).by_target(0.6)
    with pytest.raises(InputError, match="no ranks of --multiple 200 cost less there"):
        factorize(Judge(bundle, "svd", 200), plan)


def test_ranges_are_refused(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    with pytest.raises(InputError, match="from before quantize"):
        Judge(quantize(bundle, [torch.rand(2, 3, 64, 64)]))


@pytest.mark.parametrize("scoring", [Scoring(), Scoring("l2", normalize="layer")], ids=str)
def test_take_is_mask_of_what_was_factored(scoring, factored):
    bundle = factored()
    plan = plan_ratio(bundle, 0.5, scoring)
    masked = mask(bundle, plan)
    assert_equal(masked, take(masked, plan), 1e-9)
    inner = [
        row for row in plan.rows()
        if not bundle.cfg[row.section].batch_normalize and row.section not in bundle.cfg.head_convs
    ]  # fmt: skip
    assert len(inner) > 10
    if scoring.importance == "l2":  # a kernel's norm judges them as it does others
        assert any(row.after < row.before for row in inner)
    else:  # without a gamma they are held, and the plan says so
        assert all(row.after == row.before and row.held == (UNSCORED,) for row in inner)


def test_it_can_be_factorized_again(factored):
    bundle = factored()
    judge = Judge(bundle, "tucker", with_heads=True)
    done = factorize(judge, judge.by_energy(0.7))
    assert_sound(bundle, done)
    assert [e.verb for e in done.bundle.history] == ["factorize", "factorize"]


def test_onnx_is_torch(factored, tmp_path):
    bundle = factored(torch.float32)
    export_onnx(bundle, tmp_path / "a.onnx")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    theirs = OnnxSession(tmp_path / "a.onnx", 1).run(images.numpy())
    for a, b in zip(run(bundle, 1), theirs, strict=True):
        assert np.abs(a.numpy() - b).max() <= 1e-4 * np.abs(b).max()


def test_int8_follows_float(factored, tmp_path):
    bundle = factored(torch.float32)
    int8 = quantize(bundle, [torch.rand(8, 3, 64, 64)])
    export_onnx(int8, tmp_path / "a.onnx", "cpu")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    theirs = OnnxSession(tmp_path / "a.onnx", 1).run(images.numpy())
    for a, b in zip(run(bundle, 1), theirs, strict=True):
        assert np.corrcoef(a.numpy().ravel(), b.ravel())[0, 1] > 0.95


def test_opencv_reads_the_pair_and_computes_the_same(factored, tmp_path):
    import cv2

    bundle = factored(torch.float32)
    bundle = replace(bundle, cfg=replace(bundle.cfg, net=replace(bundle.cfg.net, bn_eps=1e-6)))
    pair = write_darknet_pair(bundle, tmp_path / "net", reader="opencv")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    net = cv2.dnn.readNetFromDarknet(*map(str, pair))
    net.setInput(images.numpy())
    theirs = net.forward([f"conv_{i - 1}" for i in bundle.cfg.head_indices])
    for a, b in zip(run(bundle, 1), theirs, strict=True):
        assert np.std(b) > 1e-3
        assert np.abs(a.numpy() - b).max() <= 1e-4 * max(1.0, np.abs(b).max())


def test_a_bundle_on_disk_is_the_same(factored, tmp_path):
    bundle = factored(torch.float32)
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert again.cfg == bundle.cfg
    assert again.history[-1].settings == {"method": "tucker", "multiple": 1, "energy": 0.5}
    assert all(torch.equal(again.weights[k], v) for k, v in bundle.weights.items())


def test_images_choose_ranks_of_a_network(random_bundle):
    bundle = random_bundle(build("yolov3-nano", 2, 64), dtype=torch.float32)
    images = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    shown = Calibration(lambda: images.split(8), 16)
    for method in METHODS:
        judge = Judge(bundle, method, shown=shown)
        done = factorize(judge, judge.by_target(0.6))
        assert_sound(bundle, done)
        weights = Judge(bundle, method)
        blind = factorize(weights, done.plan)
        with torch.no_grad():
            whole, seen, unseen = (
                network_of(b.cfg, b.weights)(images) for b in (bundle, done.bundle, blind.bundle)
            )
        for a, b, c in zip(whole, seen, unseen, strict=True):
            assert (a - b).square().mean() < (a - c).square().mean()
    assert couple(done.bundle.cfg).n_classes > couple(bundle.cfg).n_classes
    assert all(isinstance(bundle.cfg[i], Conv) for i in done.plan.ranks)
