"""Arms side by side: the same start, the same pictures, and what is said of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from yolo_slim.bundle import load_bundle
from yolo_slim.cli import main
from yolo_slim.data.digits import make_digits
from yolo_slim.errors import RecipeError
from yolo_slim.pipeline.comparison import Compared, mean_and_deviation, paired_gain
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.report.model import StepRow

STEPS = """
title = "micro"
[data]
description = "digits/digits.yaml"
[model]
zoo = "yolov3-nano"
size = 64
[augment]
mosaic = 0.0
[[step]]
verb = "train"
name = "teacher"
epochs = 1
batch_size = 8
precision = "float32"
"""
ARMS = """
[compare]
seeds = [3, 4]
[compare.student]
zoo = "yolov3-nano"
size = 64
[compare.train]
epochs = 1
batch_size = 8
precision = "float32"
[[compare.arm]]
name = "alone"
[[compare.arm]]
name = "alone-again"
[[compare.arm]]
name = "taught"
teacher = "teacher"
loss = "overhaul,logits"
"""


def status(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    make_digits(folder / "digits", 64, 8, 128)
    (folder / "r.toml").write_text(STEPS + ARMS)
    command = ["compare", str(folder / "r.toml"), "--out", str(folder / "run"), "--threads", "1"]
    assert status(*command, "--json", str(folder / "told.json")) == 0
    return folder


def weights(folder: Path, name: str) -> dict:
    return load_bundle(next((folder / "run/arms").glob(f"[0-9][0-9]-{name}")) / "bundle").weights


def test_the_same_arm_twice_is_the_same_and_another_seed_is_not(finished):
    key = "0.conv.weight"
    first, again = (weights(finished, name)[key] for name in ("alone-3", "alone-again-3"))
    assert first.equal(again)
    assert not first.equal(weights(finished, "alone-4")[key])
    assert not first.equal(weights(finished, "taught-3")[key])


def test_the_table_and_the_document_say_the_same(finished):
    rows = list(csv.DictReader((finished / "run/arms.csv").read_text().splitlines()))
    assert [(row["arm"], row["seed"]) for row in rows] == [
        (arm, seed) for arm in ("alone", "alone-again", "taught") for seed in ("3", "4")
    ]
    told = json.loads((finished / "told.json").read_text())
    assert told["seeds"] == [3, 4]
    by_arm = {arm["name"]: arm for arm in told["arms"]}
    assert by_arm["alone-again"]["gain"] == 0 and by_arm["alone-again"]["gain_error"] == 0
    taught = [float(row["AP"]) for row in rows if row["arm"] == "taught"]
    assert by_arm["taught"]["AP"] == taught


def test_a_cfgs_weights_follow_the_seed_and_another_cfg_is_another_student(tmp_path):
    from yolo_slim.cfg import render
    from yolo_slim.data.describe import read_dataset
    from yolo_slim.pipeline.recipe import ModelSpec
    from yolo_slim.pipeline.start import model_of
    from yolo_slim.zoo import build

    make_digits(tmp_path / "digits", 8, 8, 128)
    data = read_dataset(tmp_path / "digits/digits.yaml", None, None, "train")
    (tmp_path / "s.cfg").write_text(render(build("yolov3-nano", 10, 64)))
    spec = ModelSpec(cfg=tmp_path / "s.cfg")
    key = "0.conv.weight"
    first, again, other = (model_of(spec, data, seed)[0].weights[key] for seed in (3, 3, 4))
    assert first.equal(again) and not first.equal(other)


def test_a_second_call_trains_nothing(finished, monkeypatch):
    from yolo_slim.pipeline import detecting, steps

    monkeypatch.setattr(detecting, "train", None)
    monkeypatch.setattr(steps, "circumstances", lambda *_: {"date": "another day"})
    before = (finished / "run/arms.csv").read_text()
    assert status("compare", str(finished / "r.toml"), "--out", str(finished / "run")) == 0
    assert (finished / "run/arms.csv").read_text() == before  # and when it was is kept


def test_a_recipe_without_arms_is_told(finished, capsys):
    (finished / "bare.toml").write_text(STEPS)
    assert status("compare", str(finished / "bare.toml"), "--out", str(finished / "bare")) == 2
    assert "has no [compare]" in " ".join(capsys.readouterr().err.split())
    assert not (finished / "bare").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "alone-again"', 'name = "alone"', "arms must differ"),
        ("[3, 4]", "[3, 3]", "seeds must differ"),
        ('teacher = "teacher"', 'teacher = "techer"', "did you mean 'teacher'"),
        ("overhaul,logits", "overhal", "arm taught: --loss overhal"),
        ('loss = "overhaul,logits"', 'lost = "x"', "Did you mean 'loss'"),
        ('teacher = "teacher"\n', "", "loss means nothing without a teacher"),
        ('"alone"\n', '"alone"\nteacher = "nosuch"\n', "'nosuch' is no earlier step"),
        ("epochs = 1\nbatch_size = 8\nprecision = \"float32\"\n[[compare", "[[compare", "epochs"),
    ],
)  # fmt: skip
def test_arms_that_are_none(tmp_path, old, new, told):
    text = STEPS + ARMS.replace(old, new)
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=told):
        read_recipe(tmp_path / "r.toml")


def test_what_an_arm_does_not_say_is_as_all_have_it(tmp_path):
    shared = '[compare.train]\nteacher = "teacher"\nloss = "overhaul=0.3"'
    text = STEPS + ARMS.replace("[compare.train]", shared)
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match="no arm is without a teacher"):
        read_recipe(tmp_path / "r.toml")
    text = text.replace('name = "alone"\n', 'name = "alone"\nteacher = "none"\n')
    (tmp_path / "r.toml").write_text(text)
    spec = read_recipe(tmp_path / "r.toml").compare
    steps = [spec.step(arm) for arm in spec.arm]
    assert [step.loss for step in steps] == ["overhaul=0.3", "overhaul=0.3", "overhaul,logits"]
    assert [step.teacher for step in steps] == [None, "teacher", "teacher"]


def test_an_untrained_model_teaches_nobody(finished, capsys):
    text = STEPS + ARMS.replace('teacher = "teacher"', 'teacher = "model"')
    (finished / "random.toml").write_text(text)
    assert status("compare", str(finished / "random.toml"), "--out", str(finished / "r")) == 2
    assert "the model was never trained" in " ".join(capsys.readouterr().err.split())


def test_an_arm_may_share_out_its_epochs(tmp_path):
    split = 'method = "separate"\nfeature_epochs = 1\nepochs = 2\n'
    text = (STEPS + ARMS + split).replace("epochs = 1\nbatch_size = 8\nprecision = \"float32\"\n"
                                          "[[compare", "epochs = 3\n[[compare")  # fmt: skip
    (tmp_path / "r.toml").write_text(text)
    spec = read_recipe(tmp_path / "r.toml").compare
    steps = [spec.step(arm) for arm in spec.arm]
    assert [step.epochs + step.feature_epochs for step in steps] == [3, 3, 3]


def test_gains_are_paired():
    """By hand: 0.02, 0.03, 0.01 have the mean 0.02 and the deviation 0.01."""
    control = Compared("a", tuple(StepRow("a", AP=x) for x in (0.5, 0.6, 0.4)))
    arm = Compared("b", tuple(StepRow("b", AP=x) for x in (0.52, 0.63, 0.41)))
    gain, error = paired_gain(arm, control)
    assert gain == pytest.approx(0.02) and error == pytest.approx(0.01 / math.sqrt(3))
    assert mean_and_deviation(control.APs) == pytest.approx((0.5, np.std([0.5, 0.6, 0.4], ddof=1)))
    assert math.isnan(paired_gain(Compared("b", arm.rows[:1]), Compared("a", control.rows[:1]))[1])
