"""`distill` as it is typed: both methods, what it refuses, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import status
from made_sets import boxed_pictures, picture

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.train.module import DetectorModule
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

N_PICTURES = 70
DISTILL = (
    "distill yolov3-nano --teacher teacher --size 64 --batch-size 16 --workers 0 --precision "
    "float32 --mosaic 0 --images pictures --annotations boxes.json --out t --epochs 1"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Seventy small pictures with a box each, two more without, and an untrained teacher."""
    boxed_pictures(tmp_path, N_PICTURES, 16)
    (tmp_path / "others").mkdir()
    for number in range(2):
        picture(tmp_path / "others" / f"{number}.png", 16, 16)
    cfg = build("yolov3-tiny", 2, 64)
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(tmp_path / "teacher")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_together_with_another_backbone(place):
    assert status(f"{DISTILL} --json t.json") == 0
    (event,) = load_bundle(place / "t/bundle").history
    assert event.settings["loss"] == "overhaul=0.5,logits=1"
    told = json.loads((place / "t.json").read_text())
    assert (told["bundle"], told["epochs"]) == ("t/bundle", 1) and told["totals"]["parameters"] > 0


def test_without_a_number_of_epochs_it_takes_the_default_and_says_so_at_a_resume(
    place, capsys, monkeypatch
):
    assert status(DISTILL) == 0
    assert status("distill --help") == 0
    assert "[default: 50]" in capsys.readouterr().out
    step = DetectorModule.training_step

    def stop(self, batch, index):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(DetectorModule, "training_step", stop)
    assert status(f"{DISTILL} --resume".replace("--epochs 1", "")) == 130
    assert "begun with --epochs 1, now 50" in " ".join(capsys.readouterr().out.split())


def test_separate_learns_from_pictures_without_labels(place, monkeypatch):
    seen = []
    step = DetectorModule.training_step

    def spy(self, batch, index):
        seen.append((self.settings.labels, len(batch[0])))
        return step(self, batch, index)

    monkeypatch.setattr(DetectorModule, "training_step", spy)
    how = f"{DISTILL} --method separate --feature-epochs 2 --unlabelled others --batch-size 8"
    assert status(how) == 0
    counts = [sum(n for labels, n in seen if labels is wanted) for wanted in (False, True)]
    assert counts == [2 * 72, 64]  # 72 pictures twice; of 70 eight times eight
    assert len(load_bundle(place / "t/bundle").history) == 2
    assert status(how) == 2  # a training is there already
    assert status(f"{how} --resume") == 0


def test_each_stage_ends_without_mixing_in_its_own_last_epochs(place, monkeypatch):
    calm = {}

    def train(bundle, items, collate, settings, *_, **__):
        calm[settings.epochs] = items.calm_from
        return bundle.then("train", {"epochs": settings.epochs})

    monkeypatch.setattr("yolo_slim.pipeline.detecting.train", train)
    stages = f"{DISTILL} --epochs 10 --method separate --feature-epochs 100"
    assert status(stages) == 0
    assert calm == {100: 85, 10: 8}
    assert status(f"{stages} --close-mosaic 3") == 0
    assert calm == {100: 97, 10: 7}


@pytest.mark.slow
def test_stopped_in_the_first_stage_it_goes_on_from_there(place, capsys, monkeypatch):
    how = f"{DISTILL} --method separate --feature-epochs 2"
    step = DetectorModule.training_step

    def stop(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(DetectorModule, "training_step", stop)
    assert status(how) == 130
    assert "with --resume goes on" in capsys.readouterr().err
    monkeypatch.setattr(DetectorModule, "training_step", step)
    assert not (place / "t/bundle").exists()
    assert status(f"{how} --resume") == 0
    assert [event.settings["epochs"] for event in load_bundle(place / "t/bundle").history] == [2, 1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--unlabelled others", "are for --method separate"),
        ("--feature-epochs 3", "--feature-epochs 3 is for --method separate"),
        ("--method separate --loss logits", "name overhaul in --loss"),
        ("--method separate --unlabelled nowhere", "nowhere is not a folder"),
        ("--loss overhall", "--loss overhall: expected one or more of overhaul, logits"),
        ("--loss logits=much", "--loss logits=much: expected NAME=NUMBER"),
        ("--taps 3", "--taps 3: expected STUDENT:TEACHER"),
        ("--taps 900:3", "the student yolov3-nano has sections 0 to"),
        ("--temperature 0", "--temperature 0: expected above 0"),
        ("--temperature 3", "leave it out for a detector"),
        ("--cache-teacher", "--cache-teacher keeps answers to pictures that come again exactly"),
        ("--teacher nobody", "nobody"),
        ("--method separate --profile-steps 2", "leave out --method separate"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(place, options, told, capsys):
    assert status(f"{DISTILL} {options}") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert told in said and "Traceback" not in said
    assert not (place / "t").exists()


def test_what_contradicts_the_first_stage_is_refused(place, capsys):
    how = f"{DISTILL} --method separate --feature-epochs 1"
    assert status(how) == 0
    for change, told in {
        "--loss overhaul=3": "begun with --loss overhaul=0.5",
        "--unlabelled others": "begun with data",
        "--size 96": "begun with --size 64x64",
    }.items():
        capsys.readouterr()
        assert status(f"{how} {change} --resume") == 2
        assert told in " ".join(capsys.readouterr().err.split())
    assert status(f"{DISTILL} --resume") == 2
    assert "begun with --method separate" in " ".join(capsys.readouterr().err.split())


def test_the_same_classes_in_another_order_are_refused(place, capsys):
    (place / "teacher/names.txt").write_text("dog\ncat\n")
    assert status(DISTILL) == 2
    assert "calls class 0 'dog', the data call it 'cat'" in " ".join(
        capsys.readouterr().err.split()
    )


def test_an_option_that_is_left_out_at_the_resume_is_told(place, capsys):
    assert status(f"{DISTILL} --loss overhaul --teacher-statistics batch") == 0
    assert status(f"{DISTILL} --loss overhaul --resume --epochs 2".replace("--epochs 1", "")) == 2
    assert "begun with --teacher-statistics batch" in " ".join(capsys.readouterr().err.split())


def test_a_teacher_of_other_classes_is_refused(place, capsys):
    cfg = build("yolov3-tiny", 3, 64)
    Bundle(cfg, random_weights(cfg, 1)).save(place / "teacher3")
    assert status(f"{DISTILL} --teacher teacher3".replace("--teacher teacher ", "")) == 2
    assert "differ in classes, 3 and 2" in " ".join(capsys.readouterr().err.split())


def test_too_few_images_for_a_margin_are_told(place, capsys):
    cfg = build("yolov3", 2, 64)  # whose stages end in sums
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(place / "large")
    document = json.loads((place / "boxes.json").read_text())
    document["images"] = document["images"][:20]
    document["annotations"] = document["annotations"][:20]
    (place / "boxes.json").write_text(json.dumps(document))
    assert status(DISTILL.replace("--teacher teacher", "--teacher large")) == 2
    assert "20 images are too few to measure margins" in " ".join(capsys.readouterr().err.split())


def test_margins_are_measured_on_pictures_without_labels_too(place, capsys):
    cfg = build("yolov3-nano", 2, 64)
    Bundle(cfg, random_weights(cfg, 1), class_names=("cat", "dog")).save(place / "sums")
    document = json.loads((place / "boxes.json").read_text())
    document["images"] = document["images"][:20]
    document["annotations"] = document["annotations"][:20]
    (place / "boxes.json").write_text(json.dumps(document))
    few = DISTILL.replace("--teacher teacher", "--teacher sums") + " --method separate"
    assert status(few) == 2
    assert "20 images are too few to measure margins" in " ".join(capsys.readouterr().err.split())
    assert status(f"{few} --feature-epochs 1 --unlabelled pictures") == 0
