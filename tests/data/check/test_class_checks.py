"""Classes: counted, compared between splits, told where one has nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from yolo_slim.data.check import class_checks
from yolo_slim.data.check.statistics import quantiles, statistics

FIG, PEAR = (0, 0, 40, 40, 0), (10, 10, 50, 30, 1)


def test_counts_leave_flat_boxes_out(evidence):
    made = evidence([[FIG, PEAR, PEAR], [(5, 5, 5, 9, 0)]])
    assert class_checks.class_counts(made.splits[0]) == {"fig": 1, "pear": 2}


def test_classes_without_boxes_and_images_without(evidence):
    made = evidence([[FIG], []], [[PEAR]])
    told = [(f.split, f.found) for f in class_checks.without_boxes(made)]
    assert told == [("train", "no box of class pear"), ("val", "no box of class fig")]
    assert [(f.split, f.file) for f in class_checks.empty_images(made)] == [("train", "1.png")]


@pytest.mark.parametrize(("n_pears", "is_told"), [(10, False), (11, True)])
def test_imbalance_is_more_than_ten_to_one(n_pears, is_told, evidence):
    found = list(class_checks.imbalance(evidence([[FIG, *[PEAR] * n_pears]])))
    assert [f.kind for f in found] == ["imbalance"] * is_told
    assert all("11 to 1" in f.found for f in found)


def test_splits_of_other_classes(evidence):
    made = evidence([[FIG]], [[FIG]])
    assert list(class_checks.differing(made)) == []
    train, val = made.splits
    for other in (replace(val, class_names=("pear", "fig")), replace(val, category_ids=(2, 3))):
        (found,) = class_checks.differing(replace(made, splits=(train, other)))
        assert (found.kind, found.severity, found.split) == ("classes differ", "fault", "val")


def test_two_classes_of_one_name_are_both_counted(evidence):
    made = evidence([[FIG, PEAR, PEAR]], names=("cat", "cat"))
    assert class_checks.class_counts(made.splits[0]) == {"cat (0)": 1, "cat (1)": 2}


def test_statistics_are_those_of_numpy(evidence, rng):
    sides = rng.uniform(1, 200, (500, 2))
    rows = [(0.0, 0.0, wide, high, 0) for wide, high in sides.tolist()]
    (numbers,) = statistics(evidence([rows, [(3, 3, 3, 8, 1)]], size_wh=(320, 200)))
    areas = sides.prod(axis=1)
    shares = [
        (areas < 1024).mean(),
        ((areas >= 1024) & (areas < 9216)).mean(),
        (areas >= 9216).mean(),
    ]
    np.testing.assert_allclose(numbers.coco_shares, shares)
    np.testing.assert_allclose(numbers.relative_sizes, np.sqrt(areas / 64_000))
    np.testing.assert_allclose(numbers.aspects, sides[:, 0] / sides[:, 1])
    assert (numbers.n_images, numbers.n_boxes, numbers.imbalance) == (2, 501, 1.0)
    assert quantiles(numbers.aspects)["0.5"] == round(float(np.median(numbers.aspects)), 4)


def test_a_split_without_boxes_has_no_sizes(evidence):
    (numbers,) = statistics(evidence([[]]))
    document = numbers.document()
    assert document["coco_shares"] is document["imbalance"] is None
    assert document["relative_size_quantiles"] is None
