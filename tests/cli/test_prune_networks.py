"""`prune` of networks that it cannot cut as asked, and what a pressed Ctrl-C leaves: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import told

from yolo_slim import bundle
from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.data.digits import make_digits
from yolo_slim.fold import fold_batchnorm
from yolo_slim.pipeline import prune_step, pruning, sweeping
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 16, 2, 128)
    return folder / "digits.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    for folder, name in (("model", "yolov3-nano"), ("tiny", "yolov3-tiny"), ("sorter", "resnet18")):
        cfg = build(name, 10, 64)
        Bundle(cfg, random_weights(cfg)).save(tmp_path / folder)
    fold_batchnorm(load_bundle(tmp_path / "model")).save(tmp_path / "folded")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FOLDED = "error: prune needs BatchNorm, and folded/model.cfg has none left"
NO_AP = "error: sorter/model.cfg has no detection head: it finds no boxes, and has no AP"
IMPOSSIBLE = {
    "model --select 0.3": "error: --select: model/model.cfg has no BatchNorm before its",
    "tiny --layers 1": "error: tiny/model.cfg has no residual block that could go",
    "folded": FOLDED,
    "folded --layers 1": FOLDED,
    "folded --granularity 2:4": FOLDED,
    "folded --target-latency-ms 3": FOLDED,
    "folded --importance taylor --data {}": FOLDED,
    "folded --sweep --data {}": FOLDED,
    "sorter --sweep --data {}": NO_AP,
    "sorter --sweep --data .": NO_AP,
    "sorter --adapt --target-latency-ms 3 --data {}": NO_AP,
    "sorter --layers 1 --layer-rank drop-one --data {}": NO_AP,
}


@pytest.mark.parametrize("options", IMPOSSIBLE)
def test_what_a_network_cannot_do_is_told_with_its_folder(
    options, place, digits, capsys, monkeypatch
):
    monkeypatch.setattr(pruning, "cfg_latency_ms", None)  # no work is begun
    status, error = told(f"prune {options.format(digits)} --out x", capsys)
    assert status == 2 and error.startswith(IMPOSSIBLE[options]) and len(error.splitlines()) == 1
    assert not (place / "x").exists()


@pytest.mark.parametrize("options", ["--ratio 0.3", "--layers 1", "--granularity 2:4"])
def test_a_classifier_is_cut_like_a_detector(options, place, capsys):
    assert told(f"prune sorter {options} --out x", capsys) == (0, "")
    assert load_bundle(place / "x").history


def press(*_, **__):
    raise KeyboardInterrupt


PRESSED = {
    "sweep": (sweeping, "bundle_latency_ms", "--sweep --data {} --json x.json"),
    "recalibration": (pruning, "recalibrate", "--recalibrate {}"),
    "slopes": (pruning, "detection_loss", "--importance taylor --data {}"),
    "timing": (pruning, "cfg_latency_ms", "--target-latency-ms 3"),
    "layers": (prune_step, "similarity", "--layers 1 --layer-rank similarity --data {}"),
    "writing": (bundle, "save_file", "--ratio 0.3"),
}


@pytest.mark.parametrize("when", PRESSED)
def test_ctrl_c_is_a_line_and_leaves_nothing(when, place, digits, capsys, monkeypatch):
    module, name, options = PRESSED[when]
    monkeypatch.setattr(module, name, press)
    before = {path.name for path in place.iterdir()}
    assert told(f"prune model {options.format(digits)} --out x", capsys) == (
        130,
        "error: stopped\n",
    )
    assert {path.name for path in place.iterdir()} == before
