"""`--data FOLDER` is for classifiers; where it holds a data set for detectors, how to name that."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_line import status, told

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.data.digits import make_digits
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 4, 2, 128)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A detector, a classifier, and pictures of three layouts."""
    for folder, name in (("model", "yolov3-nano"), ("sorter", "resnet18")):
        cfg = build(name, 2, 64)
        Bundle(cfg, random_weights(cfg)).save(tmp_path / folder)
    for folder in ("cells/train", "sorted/cat", "sorted/dog", "yolo/train/images"):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.full((40, 50, 3), 90, np.uint8))
    (tmp_path / "cells" / "annotations").mkdir()
    (tmp_path / "yolo/train/labels").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = [
    "train yolov3-nano --epochs 1 --out x", "train model --epochs 1 --out x",
    "train sorter --epochs 1 --out x", "evaluate sorter",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_description_in_the_folder_is_named(command, place, digits, capsys):
    status, error = told(f"{command} --data {digits}", capsys)
    assert status == 2 and len(error.splitlines()) == 1
    assert error.startswith(f"error: {digits} holds no folder for each class")
    assert error.endswith(f"for a detector name --data {digits / 'digits.yaml'}\n")
    assert not (place / "x").exists()


@pytest.mark.parametrize(
    ("folder", "there"), [("cells", "cells/annotations"), ("yolo", "yolo/train/labels")]
)
def test_annotations_in_the_folder_are_named(folder, there, place, capsys):
    status, error = told(f"train model --epochs 1 --out x --data {folder}", capsys)
    assert status == 2
    assert f"name --images DIR --annotations FILE_OR_DIR (see {there})" in error


def test_a_detector_on_labelled_pictures_is_told_what_it_needs(place, digits, capsys):
    status, error = told("train model --epochs 1 --out x --data sorted", capsys)
    assert (status, error) == (
        2,
        "error: sorted is a folder, as for classifiers; the detector model needs a .yaml or .data "
        "description\n",
    )
    _, error = told(f"evaluate model --data {digits}", capsys)
    assert error.endswith(f"description; {digits / 'digits.yaml'} is one\n")


def test_a_folder_of_neither_tells_of_classes_alone(place, capsys):
    _, error = told("evaluate sorter --data cells/train", capsys)
    assert error == (
        "error: cells/train holds 0 folders: expected one for each class, two or more\n"
    )


def test_a_quantized_classifier_is_scored_with_its_rounding(place, monkeypatch):
    bundle = load_bundle(place / "sorter")
    quantized = quantize(bundle, [torch.rand(16, 3, 64, 64)])
    quantized.save(place / "int8")
    seen = []

    def network(cfg, weights, precision=None):
        seen.append(precision)
        return network_of(cfg, weights, precision)

    monkeypatch.setattr("yolo_slim.cli.evaluate.network_of", network)
    assert status("evaluate int8 --data sorted") == 0
    assert seen == [load_bundle(place / "int8").precision]


def test_a_classifier_is_scored_in_torch_alone(place, capsys):
    code, error = told("evaluate sorter --data sorted --runtime openvino", capsys)
    assert code == 2 and "scored in torch alone" in error


@pytest.mark.parametrize("option", ["--conf 0.9", "--images sorted", "--threads 1"])
def test_options_of_detectors_are_refused_where_a_classifier_is_scored(option, place, capsys):
    code, error = told(f"evaluate sorter --data sorted {option}", capsys)
    assert code == 2 and f"{option.split()[0]} is for detectors" in error


def test_ranges_of_a_classifier_need_its_pictures_alone(place, capsys):
    code, error = told("quantize sorter --data sorted --out q", capsys)
    assert code == 2 and "ranges need pictures alone, --images sorted" in error
    code, error = told("quantize sorter --images sorted --out q --qat", capsys)
    assert code == 2 and "it is no detector" in error
    assert not (place / "q").exists()
