"""What a recipe starts from: a model for the classes of its data, whatever it was made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from made_sets import boxed_pictures, picture
from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render
from yolo_slim.darknet_weights import write_darknet_weights
from yolo_slim.errors import InputError, RecipeError
from yolo_slim.pipeline import detecting
from yolo_slim.pipeline import start as start_module
from yolo_slim.pipeline.compress import compress
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.start import Start, read_start
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

SIDE = '{images = "pictures", annotations = "boxes.json"}'
RECIPE = """
title = "start"
[data]
train = SIDE
val = SIDE
[model]
MODEL
size = 64
[[step]]
verb = "train"
name = "tuned"
epochs = 1
""".replace("SIDE", SIDE)
PRUNE = '[[step]]\nverb = "prune"\nname = "pruned"\nratio = 0.2\n'
FIVE = ("cat", "dog", "owl", "fox", "bee")
MODELS = {
    "bundle": 'bundle = "five"',
    "pair": 'cfg = "five.cfg"\nweights = "five.weights"',
    "cfg": 'cfg = "five.cfg"',
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Pictures of cats and dogs, and a model of five classes in every form."""
    boxed_pictures(tmp_path, 4, 32)
    cfg = build("yolov3-nano", 5, 64)
    bundle = Bundle(cfg, random_weights(cfg, 1), class_names=FIVE)
    bundle.save(tmp_path / "five")
    (tmp_path / "five.cfg").write_text(render(cfg))
    write_darknet_weights(tmp_path / "five.weights", cfg, bundle.weights)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_of(place: Path, text: str) -> tuple[Start, str]:
    (place / "r.toml").write_text(text)
    console = Console(record=True, width=200)
    start = read_start(read_recipe(place / "r.toml"), place / "run", console)
    return start, console.export_text()


@pytest.mark.parametrize("form", MODELS)
def test_a_model_of_other_classes_gets_heads_for_those_of_the_data(place, form):
    start, told = start_of(place, RECIPE.replace("MODEL", MODELS[form]))
    assert start.bundle.cfg.n_classes == 2
    assert start.bundle.class_names == ("cat", "dog")
    assert not start.trained  # its answers are no baseline, and no teacher's
    assert "5 classes become 2" in told


def test_what_was_learned_is_kept(place):
    start, told = start_of(place, RECIPE.replace("MODEL", MODELS["bundle"]))
    five = random_weights(build("yolov3-nano", 5, 64), 1)
    assert torch.equal(start.bundle.weights["0.conv.weight"], five["0.conv.weight"])
    assert "by their names these classes: cat, dog" in told


def test_with_the_same_classes_nothing_changes(place):
    cfg = build("yolov3-nano", 2, 64)
    bundle = Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog"))
    bundle.save(place / "two")
    start, told = start_of(place, RECIPE.replace("MODEL", 'bundle = "two"'))
    assert start.trained
    assert "become" not in told
    assert all(torch.equal(start.bundle.weights[k], v) for k, v in bundle.weights.items())


@pytest.mark.parametrize(
    ("names", "kept"), [(("Dog", "cat"), "cat, dog"), (("owl", "dog"), "dog"), ((), None)]
)
def test_as_many_classes_by_other_names_are_other_classes(place, names, kept):
    cfg = build("yolov3-nano", 2, 64)
    bundle = Bundle(cfg, random_weights(cfg, 1), class_names=names)
    bundle.save(place / "two")
    start, told = start_of(place, RECIPE.replace("MODEL", 'bundle = "two"'))
    assert start.bundle.class_names == ("cat", "dog")
    assert start.trained is (kept is None)  # where names are unknown, class k is class k
    if kept is None:
        return
    assert f"by their names these classes: {kept}" in told
    head = cfg.head_indices[0] - 1
    old, new = (b.weights[f"{head}.conv.bias"].view(3, 7) for b in (bundle, start.bundle))
    assert torch.equal(new[:, 6], old[:, 5 + names.index("Dog" if "Dog" in names else "dog")])
    assert start.bundle.history[-1].verb == "for_classes"


def test_validation_is_numbered_as_training_is_or_refused(place):
    document = json.loads((place / "boxes.json").read_text())
    document["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (place / "turned.json").write_text(json.dumps(document))
    text = RECIPE.replace("MODEL", MODELS["bundle"])
    turned = text.replace("val = " + SIDE, "val = " + SIDE.replace("boxes", "turned"))
    start, _ = start_of(place, turned)
    assert start.val_data.class_names == start.train_data.class_names
    assert [s.class_ids[0] for s in start.val_data.samples] == [1, 0, 1, 0]
    (place / "turned.json").write_text(json.dumps(document).replace("dog", "cow"))
    with pytest.raises(InputError, match=r"boxes\.json does not have: cow"):
        start_of(place, turned)


def test_fitted_anchors_are_not_those_that_were_learned(place, monkeypatch):
    monkeypatch.setattr(start_module, "fitted_anchors", lambda cfg, *_: cfg.yolos[0].anchors_wh)
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(place / "two")
    text = RECIPE.replace("MODEL", 'bundle = "two"\nanchors = "fit"')
    start, told = start_of(place, text)
    assert "anchors are fitted anew" in told and not start.trained


NEIGHBOURS = RECIPE + 'cells = "neighbours"\n'
COMPARED = """
[compare]
seeds = [0]
[compare.train]
epochs = 1
cells = "neighbours"
[[compare.arm]]
name = "one"
[[compare.arm]]
name = "two"
"""


@pytest.mark.parametrize("text", [NEIGHBOURS, RECIPE + COMPARED])
def test_neighbours_are_given_reach(place, text):
    start, told = start_of(place, text.replace("MODEL", 'zoo = "yolov3-nano"'))
    assert all(yolo.scale_x_y == 2 for yolo in start.bundle.cfg.yolos)
    assert "scale_x_y=2 is written" in told


def test_a_trained_model_gets_no_other_reach(place):
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(place / "two")
    with pytest.raises(InputError, match="needs scale_x_y above 1"):
        start_of(place, NEIGHBOURS.replace("MODEL", 'bundle = "two"'))


def test_new_heads_are_trained_before_anything_else(place):
    text = RECIPE.replace("MODEL", MODELS["bundle"]).split("[[step]]")[0] + PRUNE
    (place / "r.toml").write_text(text)
    with pytest.raises(InputError, match="or of other classes or anchors: train it first"):
        compress(place / "r.toml", place / "run", Console(quiet=True), 1)


def test_features_are_learned_from_pictures_without_labels_too(place, monkeypatch):
    for number in range(3):
        picture(place / "others" / f"{number}.png", 32, 32)
    seen = []

    def train(bundle, data, collate, settings, out, **_):
        seen.append((len(data), settings.labels))
        return bundle.then("train", {})

    monkeypatch.setattr(detecting, "train", train)
    student = (
        '[[step]]\nverb = "train"\nname = "student"\nepochs = 1\nteacher = "tuned"\n'
        'loss = "overhaul"\nmethod = "separate"\nfeature_epochs = 1\nmargin = false\n'
    )
    text = RECIPE.replace("MODEL", 'zoo = "yolov3-nano"') + student
    (place / "r.toml").write_text(text.replace("[data]", '[data]\nunlabelled = "others"'))
    compress(place / "r.toml", place / "run", Console(quiet=True), 1)
    assert seen == [(4, True), (7, False), (4, True)]


def test_what_no_training_asks_for_is_told_before_the_first(place):
    text = RECIPE.replace("MODEL", 'zoo = "yolov3-nano"')
    (place / "r.toml").write_text(text.replace("[data]", '[data]\nunlabelled = "pictures"'))
    with pytest.raises(RecipeError, match="no training has overhaul in its loss"):
        read_recipe(place / "r.toml")


def test_too_few_images_to_recalibrate_are_told_before_the_first_step(place):
    text = RECIPE.replace("MODEL", 'zoo = "yolov3-nano"') + PRUNE + "recalibrate = 8\n"
    (place / "r.toml").write_text(text)
    with pytest.raises(InputError, match="4 images are too few to recalibrate from"):
        compress(place / "r.toml", place / "run", Console(quiet=True), 1)
    assert not (place / "run/01-tuned").exists()
