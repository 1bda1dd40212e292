"""Classes of a model and of data go by their names; where there are none, by their numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import Dataset, sample_of
from yolo_slim.detections import Detections
from yolo_slim.errors import InputError
from yolo_slim.pipeline import scoring
from yolo_slim.pipeline.same_classes import numbered_as
from yolo_slim.pipeline.scoring import score_bundle
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


def data_of(*names: str) -> Dataset:
    """A picture with a box of each class, the k-th at 10 k px."""
    rows = [(10.0 * k, 0.0, 10.0 * k + 9, 9.0, k, False, None) for k in range(len(names))]
    sample, _ = sample_of(Path("a.png"), 7, (64, 64), rows)
    return Dataset("made", (sample,), names, tuple(range(3, 3 + len(names))))


def called(data: Dataset) -> dict[float, str]:
    """Left of each box -> the name of its class."""
    [sample] = data.samples
    lefts = sample.boxes_xyxy[:, 0].tolist()
    return dict(zip(lefts, (data.class_names[k] for k in sample.class_ids), strict=True))


@pytest.mark.parametrize("model", [("dog", "cat"), ("CAT", "Dog"), ("owl", "cat", "dog")])
def test_data_are_numbered_as_the_model_is(model):
    data = data_of("cat", "dog")
    found = numbered_as(data, "model.cfg", model, len(model))
    assert {left: name.lower() for left, name in called(found).items()} == called(data)
    if model[0] != "CAT":  # which is the same order
        assert found.class_names == model
        assert found.category_ids == tuple(range(1, len(model) + 1))


@pytest.mark.parametrize(
    ("theirs", "ours"), [((), ("cat", "dog")), (("cat", "dog"), ("class_0", "class_1"))]
)
def test_classes_without_names_are_counted(theirs, ours):
    data = data_of(*ours)
    assert numbered_as(data, "model.cfg", theirs, 2) is data
    with pytest.raises(InputError, match=r"model\.cfg detects 3 classes, made has 2"):
        numbered_as(data, "model.cfg", theirs, 3)


def test_a_class_that_the_model_does_not_have_is_named():
    told = "made has classes that model.cfg does not have: cow, horse. Expected some of cat, dog"
    with pytest.raises(InputError, match=told):
        numbered_as(data_of("cow", "cat", "horse"), "model.cfg", ("cat", "dog"), 2)


@pytest.mark.parametrize("names", [("cat", "dog"), ("dog", "cat"), ("cat", "owl", "dog")])
def test_a_perfect_detector_has_full_marks_in_any_order(monkeypatch, names):
    """It finds every box, under its own number of the class."""
    data = data_of("cat", "dog")
    boxes = data.samples[0].boxes_xyxy
    found = Detections(boxes, np.ones(2, np.float32), np.array([names.index("cat"),
                                                                names.index("dog")]))  # fmt: skip
    monkeypatch.setattr(scoring, "detect_all", lambda *_: {7: found})
    cfg = build("yolov3-nano", len(names), 64)
    bundle = Bundle(cfg, random_weights(cfg), class_names=names)
    assert score_bundle(bundle, data)["AP"] == pytest.approx(1)
    with pytest.raises(InputError, match="does not have: dog"):
        score_bundle(replace(bundle, class_names=("horse", "cow", "cat")[-len(names) :]), data)
