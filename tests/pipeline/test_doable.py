"""What a recipe asks in vain is told before its first step."""

from __future__ import annotations

import sys

import pytest

from yolo_slim.cfg import render
from yolo_slim.cli import main
from yolo_slim.data.digits import make_digits
from yolo_slim.zoo import build

TEACHER = """
title = "micro"
[data]
description = "digits/digits.yaml"
[model]
zoo = "yolov3-nano"
size = 64
[[step]]
verb = "train"
name = "teacher"
epochs = 1
"""
TAUGHT = """
[[step]]
verb = "train"
name = "student"
epochs = 1
teacher = "teacher"
loss = "overhaul"
"""
CUT = """
[[step]]
verb = "prune"
name = "cut"
target_latency_ms = 100
runtime = "ncnn"
"""
TWICE = """
[[step]]
verb = "repeat"
name = "rounds"
times = 2
max_ap_drop = 0.1
[[step.step]]
verb = "prune"
name = "cut"
ratio = 0.1
recalibrate = 64
"""
ARMS = """
[compare]
seeds = [3]
[compare.student]
zoo = "yolov3-nano"
size = 64
[compare.train]
epochs = 1
[[compare.arm]]
name = "alone"
[[compare.arm]]
name = "taught"
teacher = "teacher"
loss = "overhaul"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doable")
    make_digits(folder / "digits", 8, 4, 128)
    return folder


def refused(place, capsys, text, verb="compress") -> str:
    (place / "r.toml").write_text(text)
    with pytest.raises(SystemExit) as caught:
        main([verb, str(place / "r.toml"), "--out", str(place / "run"), "--threads", "1"])
    assert caught.value.code == 2
    assert not (place / "run").exists()
    return " ".join(capsys.readouterr().err.split())


def test_too_few_pictures_for_a_margin(place, capsys):
    told = refused(place, capsys, TEACHER + TAUGHT)
    assert "step 2 (student): 8 images are too few to measure margins from: expected 64" in told


def test_too_few_pictures_for_the_margin_of_an_arm(place, capsys):
    told = refused(place, capsys, TEACHER + ARMS, "compare")
    assert "arm taught: 8 images are too few to measure margins from" in told


def test_answers_alone_ask_no_margin(place, capsys):
    taught = TAUGHT.replace('"overhaul"', '"logits"')
    told = refused(place, capsys, TEACHER + taught + TWICE)
    assert "step 3 (cut): 8 images are too few to recalibrate from" in told


def test_an_engine_that_is_not_installed(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", None)
    told = refused(place, capsys, TEACHER + CUT)
    assert "step 2 (cut): ncnn is needed and cannot be imported" in told
    assert 'pip install "yolo-slim[ncnn]"' in told


def test_mixing_does_not_end_before_it_begins(place, capsys):
    told = refused(place, capsys, TEACHER + "close_mosaic = 2\n")
    assert "--close-mosaic 2 is out of range: expected 0 to 1" in told
    shorter = ARMS.replace("epochs = 1", "epochs = 3\nclose_mosaic = 2") + "epochs = 1\n"
    told = refused(place, capsys, TEACHER + shorter, "compare")
    assert "arm taught: --close-mosaic 2 is out of range: expected 0 to 1" in told


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ('ratio = 0.5\nwithin = "layer"', "within does nothing here: it is for granularity weight"),
        ('granularity = "layer"\nlayers = 1\nmultiple = 8', "no ratio or other target says how"),
        ('ratio = 0.5\nabsorb = false\norder = "channels-first"', "order does nothing here: it is"),
        ("ratio = 0.5\nn_images = 9", "n_images does nothing here: it is for importance taylor"),
        ("ratio = 0.5\nbatch_size = 9", "batch_size does nothing here: it is for importance"),
    ],
)
def test_an_option_of_a_cut_that_would_do_nothing(how, words, place, capsys):
    cut = CUT.replace('target_latency_ms = 100\nruntime = "ncnn"', how)
    told = refused(place, capsys, TEACHER + cut)
    assert "step 2 (cut): " in told and words in told and "--" not in told.split("here")[1]


def test_a_policy_that_cannot_be_followed(place, capsys):
    text = render(build("yolov3-nano", 10, 64)).replace("[net]", "[net]\npolicy=sgdr")
    (place / "a.cfg").write_text(text)
    start = TEACHER.replace('zoo = "yolov3-nano"\nsize = 64', 'cfg = "a.cfg"')
    late = TAUGHT.replace("overhaul", "logits") + 'schedule = "cfg"\n'
    told = refused(place, capsys, start + late)
    assert "step 2 (student): [net] policy=sgdr is not supported" in told
    student = ARMS.replace('zoo = "yolov3-nano"\nsize = 64', 'cfg = "a.cfg"')
    late = student.replace("epochs = 1", 'epochs = 1\nschedule = "cfg"')
    told = refused(place, capsys, TEACHER + late.replace("overhaul", "logits"), "compare")
    assert "arm alone: [net] policy=sgdr is not supported" in told


def test_a_temperature_of_no_answers(place, capsys):
    told = refused(
        place, capsys, TEACHER + TAUGHT.replace("overhaul", "logits") + "temperature = 2\n"
    )
    assert "step 2 (student): --temperature 2 softens the answers that a classifier" in told
