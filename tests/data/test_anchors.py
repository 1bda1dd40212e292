"""Anchors find the sizes that boxes really have."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from yolo_slim.cfg import resize
from yolo_slim.data.anchors import best_iou, fit_anchors, fit_of, refine_anchors
from yolo_slim.data.coco import read_coco
from yolo_slim.errors import DataError, InputError
from yolo_slim.pipeline.anchors import box_sizes, fitted_anchors, used_anchors
from yolo_slim.zoo import build

SIZES = np.array([[10, 14], [40, 30], [25, 90], [160, 120]], np.float64)


def test_known_clusters_are_recovered_smallest_first(rng):
    boxes = np.repeat(SIZES, 50, axis=0) * rng.uniform(0.9, 1.1, (200, 2))
    found = fit_anchors(rng.permutation(boxes), 4)
    np.testing.assert_allclose(found, SIZES, rtol=0.05)


def test_heads_with_lists_of_their_own_are_not_fitted():
    cfg = build("yolov3-tiny", 2)
    last = replace(cfg.yolos[-1], anchors_wh=cfg.yolos[-1].masked_anchors_wh, mask=(0, 1, 2))
    with pytest.raises(InputError, match=r"the \[yolo\] sections have different anchors"):
        fitted_anchors(replace(cfg, sections=(*cfg.sections[:-1], last)), None, 0)


def test_same_seed_same_anchors_in_any_unit(rng):
    boxes = rng.uniform(5, 200, (300, 2))
    one = fit_anchors(boxes, 6, seed=3)
    np.testing.assert_array_equal(one, fit_anchors(boxes, 6, seed=3))
    np.testing.assert_allclose(fit_anchors(boxes * 2, 6, seed=3), one * 2)


def test_more_anchors_fit_better(rng):
    boxes = rng.uniform(5, 200, (300, 2))
    quality = [best_iou(boxes, fit_anchors(boxes, k)) for k in (1, 3, 9)]
    assert quality == sorted(quality) and quality[0] < quality[2] < 1


def test_an_anchor_for_each_size_is_perfect():
    assert best_iou(SIZES, fit_anchors(SIZES, 4)) == 1


def test_best_iou_of_a_hand_made_pair():
    assert best_iou(np.array([[2.0, 2.0]]), np.array([[1.0, 1.0], [4.0, 2.0]])) == 0.5


def test_many_boxes_are_sampled(rng):
    boxes = np.repeat(SIZES, 6000, axis=0)
    np.testing.assert_allclose(fit_anchors(boxes, 4), SIZES)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.ones((2, 2)), "1 different box sizes cannot give 3 anchors"),
        (np.zeros((0, 2)), "0 different"),
        (np.array([[1.0, 0.0]] * 5), "positive"),
        (np.array([[1.0, np.nan]] * 5), "positive"),
    ],
)
def test_unusable_boxes_are_a_data_error(boxes, message):
    with pytest.raises(DataError, match=message):
        fit_anchors(boxes, 3)


def sizes(n: st.SearchStrategy[int]):
    side = st.floats(1, 999, width=32)
    return n.flatmap(lambda rows: arrays(np.float64, (rows, 2), elements=side))


BOXES, ANCHORS = sizes(st.integers(1, 40)), sizes(st.integers(1, 6))
SEEDS = st.integers(0, 2**31)


@given(BOXES, ANCHORS, SEEDS)
def test_refinement_never_lowers_fitness_nor_changes_what_it_was_given(boxes, anchors, seed):
    given_anchors = anchors.copy()
    refined = refine_anchors(boxes, anchors, 60, seed)
    assert best_iou(boxes, refined) >= best_iou(boxes, anchors) - 1e-12
    np.testing.assert_array_equal(anchors, given_anchors)
    assert refined.shape == anchors.shape and (refined > 0).all()
    np.testing.assert_array_equal(refined, refine_anchors(boxes, anchors, 60, seed))


@given(BOXES, ANCHORS, SEEDS, st.integers(-8, 8))
def test_refinement_is_equivariant_under_scale(boxes, anchors, seed, power):
    """By powers of two, which no rounding disturbs: boxes in other units, anchors in those."""
    scale = 2.0**power
    scaled = refine_anchors(boxes * scale, anchors * scale, 60, seed)
    np.testing.assert_array_equal(scaled, refine_anchors(boxes, anchors, 60, seed) * scale)


@given(BOXES, ANCHORS)
def test_the_three_numbers_by_the_book(boxes, anchors):
    fit = fit_of(boxes, anchors)
    best, near = [], []
    for w, h in boxes:
        ious = []
        for a, b in anchors:
            shared = min(w, a) * min(h, b)
            ious.append(shared / (w * h + a * b - shared))
        best.append(max(ious))
        near.append(any(max(w / a, a / w, h / b, b / h) < 4 for a, b in anchors))
    assert fit.mean_best_iou == pytest.approx(np.mean(best))
    assert fit.recall_iou50 == pytest.approx(np.mean(np.array(best) >= 0.5))
    assert fit.recall_ratio4 == pytest.approx(np.mean(near))


@given(sizes(st.integers(8, 40)), SEEDS)
def test_what_is_known_is_never_made_worse(boxes, seed):
    boxes = boxes + np.arange(len(boxes))[:, None] * 1000  # all of different size
    known = boxes[:3]
    found = fit_anchors(boxes, 3, seed, generations=5, known=known)
    assert best_iou(boxes, found) >= best_iou(boxes, known) - 1e-12


def test_refinement_finds_what_k_means_misses(rng):
    boxes = rng.lognormal(4, 1, (500, 2))
    plain, refined = fit_anchors(boxes, 6, generations=0), fit_anchors(boxes, 6)
    assert best_iou(boxes, refined) > best_iou(boxes, plain) + 1e-4
    calls: list[tuple[int, int]] = []
    fit_anchors(boxes, 6, generations=7, progress=lambda *call: calls.append(call))
    assert calls == [(n, 7) for n in range(1, 8)]


@pytest.mark.parametrize("masks", [((2, 3), (0, 1)), ((3, 4), (1, 2)), ((3, 4), (1, 2, 3))])
def test_an_anchor_that_no_head_uses_stays(document, write_set, masks):
    dataset = read_coco(*write_set(document))
    cfg = build("yolov3-tiny", 2, 96)
    heads = iter(masks)
    old = tuple((10.0 + k, 10.0) for k in range(5))
    sections = [
        replace(s, anchors_wh=old, mask=next(heads)) if s in cfg.yolos else s for s in cfg.sections
    ]
    cfg = replace(cfg, sections=tuple(sections))
    used = sorted(set(masks[0] + masks[1]))
    assert used_anchors(cfg) == used
    rng = np.random.default_rng(0)
    sample = replace(
        dataset.samples[0],
        boxes_xyxy=np.concatenate([np.zeros((50, 2)), rng.uniform(5, 30, (50, 2))], 1),
        class_ids=np.zeros(50, np.int64),
        crowd=np.arange(50) == 0,
        areas=np.ones(50, np.float32),
    )
    many = replace(dataset, samples=(sample,))
    assert len(box_sizes(many, cfg)) == 49  # a crowd box is no target
    found = fitted_anchors(cfg, many, seed=0, generations=10)
    assert all(found[k] == old[k] for k in range(5) if k not in used)
    areas = [found[k][0] * found[k][1] for k in used]
    assert areas == sorted(areas) and not set(found) & {old[k] for k in used}


def test_no_boxes_no_anchors(document, write_set):
    document["annotations"] = []
    with pytest.raises(DataError, match=r"set\.json has no boxes to fit anchors to"):
        fitted_anchors(build("yolov3-tiny"), read_coco(*write_set(document)), seed=0)


def test_cells_are_fitted_within_seconds(shared_data):
    cbc = shared_data / "cbc"
    dataset = read_coco(cbc / "train", cbc / "annotations" / "train.json")
    cfg = resize(build("yolov3-tiny", 3), 416, 416)
    wh = box_sizes(dataset, cfg)
    before = fit_of(wh, np.array(cfg.yolos[0].anchors_wh))
    start = time.process_time()
    after = fit_of(wh, np.array(fitted_anchors(cfg, dataset, seed=0)))
    assert time.process_time() - start < 10  # on a busy machine; alone it takes half a second
    assert before.mean_best_iou == pytest.approx(0.744, abs=0.001)
    assert after.mean_best_iou > 0.863 and after.recall_iou50 > before.recall_iou50
