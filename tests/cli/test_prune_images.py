"""What `prune` asks of images: enough of them, and said where there are fewer than were wished."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from yolo_slim.bundle import load_bundle
from yolo_slim.cli import main
from yolo_slim.console import percent
from yolo_slim.data.digits import make_digits
from yolo_slim.pipeline import prune_step, sweeping
from yolo_slim.zoo import build

N_TRAIN = 17


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, N_TRAIN, 2, 128)
    return folder / "digits.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch, random_bundle) -> Path:
    random_bundle(build("yolov3-nano", 10, 64), dtype=torch.float32).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(command: str, capsys) -> tuple[int, str, str]:
    """Exit status, standard output in one line, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(out.split()), err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--importance taylor --data {} --n-images 1",
         "1 image is too few to judge channels by (--importance taylor): expected 16 or more"),
        ("--importance taylor --data {} --n-images 15", "15 images are too few to judge"),
        ("--recalibrate {} --n-images 15", "15 images are too few to recalibrate from"),
    ],
)  # fmt: skip
def test_too_few_images_are_refused_before_the_work(
    options, words, place, digits, capsys, monkeypatch
):
    monkeypatch.setattr(prune_step, "prune_bundle", None)
    status, _, err = told(f"prune model --out x {options.format(digits)}", capsys)
    assert status == 2 and err.startswith(f"error: {words}") and len(err.splitlines()) == 1
    assert not (place / "x").exists()


@pytest.mark.parametrize("options", ["--importance taylor --data {}", "--recalibrate {}"])
def test_more_images_than_there_are_is_told_where_it_was_typed(options, place, digits, capsys):
    command = f"prune model --out x {options.format(digits)}"
    note = f"all {N_TRAIN} images are asked: there are no more"
    status, out, _ = told(f"{command} --n-images 50", capsys)
    assert status == 0 and note in out
    for no_more in ("", f" --n-images {N_TRAIN}"):
        status, out, _ = told(command + no_more, capsys)
        assert status == 0 and note not in out


def test_a_folder_of_pictures_recalibrates_too(place, digits, capsys):
    folder = digits.parent / "images/train"
    status, out, _ = told(f"prune model --out x --recalibrate {folder} --n-images 99", capsys)
    assert status == 0 and f"all {N_TRAIN} images are asked" in out
    assert load_bundle(place / "x").history[-1].verb == "recalibrate"
    status, _, err = told("prune model --out y --recalibrate model", capsys)
    assert status == 2 and "model" in err and not (place / "y").exists()


def test_a_sweep_of_too_few_training_images_does_without_recalibration(
    place, digits, capsys, monkeypatch
):
    monkeypatch.setattr(sweeping, "bundle_scorer", lambda _: lambda _: {"AP": 0.5, "AP50": 0.6})
    monkeypatch.setattr(sweeping, "bundle_latency_ms", lambda *_: 1.0)
    monkeypatch.setattr(sweeping, "recalibrate", None)
    status, out, _ = told(f"prune model --sweep --out s --data {digits} --n-images 4", capsys)
    assert status == 0 and "note: no recalibration: 4 images are too few" in out


@pytest.mark.parametrize(
    ("target", "words"),
    [("0.0001", "0.01% of the parameters cannot be reached"),
     ("0.00000123", "0.00012% of the parameters cannot")],
)  # fmt: skip
def test_a_small_share_is_told_with_its_digits(target, words, place, capsys):
    status, _, err = told(f"prune model --target-params {target} --out x", capsys)
    assert status == 2 and words in err


def test_percent_has_two_figures_at_least():
    shares = (1.0, 0.9999, 0.1234, 0.001, 0.00099, 0.0)
    assert [percent(s) for s in shares] == ["100.0%", "100.0%", "12.3%", "0.1%", "0.099%", "0.0%"]
