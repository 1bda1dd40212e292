"""Where annotations say classes in words, a model's own names number them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_sets import picture, voc_file, voc_object

from yolo_slim.bundle import Bundle
from yolo_slim.cli import main
from yolo_slim.pipeline import start
from yolo_slim.pipeline.recipe import SplitSpec
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A model of dog, cat; pictures to train on with both, and to score with a cat alone."""
    cfg = build("yolov3-nano", 2, 64)
    bundle = Bundle(cfg, random_weights(cfg))
    replace(bundle, class_names=("dog", "cat")).save(tmp_path / "model")
    for split, names in (("train", ("cat", "dog")), ("val", ("cat",)), ("cow", ("cow",))):
        picture(tmp_path / split / "a.png")
        voc_file(
            tmp_path / f"{split}_xml" / "a.xml", *(voc_object(n, (1, 2, 11, 22)) for n in names)
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("split", "status", "told"), [("val", 0, ""), ("cow", 2, "'cow', which is not among the names")]
)
def test_evaluate_scores_a_set_that_lacks_a_class(place, capsys, split, status, told):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "model", "--images", split, "--annotations", f"{split}_xml"])
    assert int(caught.value.code or 0) == status
    assert told in capsys.readouterr().err


def test_a_recipe_numbers_the_classes_of_both_splits_alike(place):
    parts = (
        SplitSpec(images=place / split, annotations=place / f"{split}_xml")
        for split in ("train", "val")
    )
    training, validation = start._splits(None, *parts)
    assert training.class_names == validation.class_names == ("cat", "dog")
