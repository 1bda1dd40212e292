"""What a recipe starts from: a model for the classes of its data, whatever it was made for."""

from __future__ import annotations

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


def test_new_heads_are_trained_before_anything_else(place):
    text = RECIPE.replace("MODEL", MODELS["bundle"]).split("[[step]]")[0] + PRUNE
    (place / "r.toml").write_text(text)
    with pytest.raises(InputError, match="heads for other classes, are random: train it first"):
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
