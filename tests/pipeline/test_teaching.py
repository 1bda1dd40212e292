"""In which order a teacher's lessons are learned, and from what."""

from __future__ import annotations

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.distill.settings import DistillSettings, read_losses
from yolo_slim.errors import InputError
from yolo_slim.pipeline.teaching import Lessons, train_taught
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

CFG = build("yolov3-tiny", 2, 64)


def learned(tmp_path, lessons: Lessons, teacher: bool = True):
    """Every training that was asked for: (losses or None, settings, folder, features)."""
    asked = []

    def fit(bundle, settings, guidance, out, features):
        losses = None if guidance is None else guidance.settings.losses
        asked.append((losses, settings, out.relative_to(tmp_path).as_posix(), features))
        weights = {k: v + 1 if v.is_floating_point() else v for k, v in bundle.weights.items()}
        return bundle.then("train", {"epochs": settings.epochs}, weights=weights)

    student = Bundle(CFG, random_weights(CFG))
    settings = TrainSettings(epochs=4, batch_size=2, sparsity=0.1, validations=2)
    trained = train_taught(
        student, Bundle(CFG, random_weights(CFG, 1)) if teacher else None, lessons, settings,
        lambda cfg: [torch.rand(64, 3, 64, 64)], tmp_path / "run", fit,
    )  # fmt: skip
    return asked, trained, student


def lessons(losses: str, *how) -> Lessons:
    return Lessons(DistillSettings(read_losses(losses)), *how)


def test_together_is_one_training(tmp_path):
    ((losses, settings, folder, features),), _, _ = learned(tmp_path, lessons("overhaul,logits"))
    assert losses == (("overhaul", 0.5), ("logits", 1.0))
    assert (settings.epochs, settings.labels, folder, features) == (4, True, "run", False)


def test_separate_is_features_then_labels(tmp_path):
    how = lessons("overhaul=0.7,boxes", "separate", 3, 0.1)
    (first, then), trained, student = learned(tmp_path, how)
    assert first[0] == (("overhaul", 0.7),)
    assert (first[1].epochs, first[1].labels, first[1].sparsity) == (3, False, 0.0)
    assert first[2:] == ("run/features", True)
    assert then[0] == (("boxes", 1.0), ("overhaul", 0.1))
    assert (then[1].epochs, then[1].labels, then[1].sparsity) == (4, True, 0.1)
    assert then[2:] == ("run", False)
    key = "0.conv.weight"
    torch.testing.assert_close(trained.weights[key], student.weights[key] + 2)


def test_the_stage_of_answers_alone_has_a_temperature(tmp_path):
    settings = TrainSettings(epochs=1, batch_size=2)
    cfg = build("resnet18", 2, 64)
    student, asked = Bundle(cfg, random_weights(cfg)), []

    def fit(bundle, settings, guidance, out, features):
        asked.append(guidance.settings.temperature if guidance else None)
        return bundle

    def taught(losses: str, *how) -> list[float | None]:
        asked.clear()
        soft = DistillSettings(read_losses(losses), margin=False, temperature=2.0)
        separate = Lessons(soft, "separate", 1, *how)
        train_taught(student, student, separate, settings, lambda cfg: [], tmp_path, fit)
        return asked

    assert taught("overhaul,logits") == [4.0, 2.0]
    assert taught("overhaul,logits", 0.1) == [4.0, 2.0]
    for keep_features in (0.0, 0.1):
        with pytest.raises(InputError, match="--temperature 2 softens the answers"):
            taught("overhaul", keep_features)
        assert not asked


def test_features_alone_leave_nothing_beside_the_labels(tmp_path):
    (_, then), _, _ = learned(tmp_path, lessons("overhaul", "separate", 1))
    assert then[0] is None


def test_without_a_teacher_it_is_plain_training(tmp_path):
    ((losses, _, folder, _),), _, _ = learned(tmp_path, lessons("overhaul"), teacher=False)
    assert losses is None and folder == "run"


@pytest.mark.parametrize(
    ("losses", "how", "told"),
    [
        ("overhaul", ("together", 3), "--feature-epochs 3 is for --method separate"),
        ("overhaul", ("together", 0, 0.5), "--keep-features 0.5 is for --method separate"),
        ("logits", ("separate", 3), "name overhaul in --loss"),
        ("overhaul", ("separate", 0), "--feature-epochs 0"),
        ("overhaul", ("separate", 1, -1.0), "--keep-features -1"),
    ],
)
def test_lessons_that_are_none(losses, how, told):
    with pytest.raises(InputError, match=told):
        lessons(losses, *how)


def test_answers_are_kept_by_teacher(tmp_path):
    folders = []

    def fit(bundle, settings, guidance, out, features):
        folders.append(guidance.teacher.folder)
        return bundle

    student, settings = Bundle(CFG, random_weights(CFG)), TrainSettings(epochs=1, batch_size=2)
    for seed in (1, 2):
        teacher = Bundle(CFG, random_weights(CFG, seed))
        train_taught(
            student, teacher, Lessons(cached=True), settings, lambda cfg: [], tmp_path, fit
        )
    assert len(set(folders)) == 2
