"""A classifier learns digits from folders, and a detector takes its backbone."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from command_line import status, told
from made_sets import picture
from sklearn.datasets import load_digits

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import parse
from yolo_slim.cli import main
from yolo_slim.data.augment import Augmentation
from yolo_slim.data.folders import LabelledSet, collate_labelled, middle, read_picture_folders
from yolo_slim.errors import DataError, InputError, WeightsError
from yolo_slim.nn.decode import class_logits
from yolo_slim.pipeline.classifying import read_splits, require_logits, top_scorer
from yolo_slim.pretrained import import_backbone
from yolo_slim.train.classify import classification_loss
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """scikit-learn's digits as 32 px pictures: 40 of each to train on, 10 to score."""
    root = tmp_path_factory.mktemp("digits")
    bunch = load_digits()
    for digit in range(10):
        images = bunch.images[bunch.target == digit][:50]
        for place, image in enumerate(images):
            folder = root / ("train" if place < 40 else "val") / str(digit)
            folder.mkdir(parents=True, exist_ok=True)
            large = cv2.resize((image * 15.9).astype(np.uint8), (32, 32))
            cv2.imwrite(str(folder / f"{place}.png"), large)
    return root


CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=relu\n"
SMALL = (
    "[net]\nwidth=32\nheight=32\n"
    + CONV.format(16, 2) + CONV.format(32, 2) + CONV.format(32, 1) + "[shortcut]\nfrom=-2\n"
    + CONV.format(64, 2) + "[avgpool]\n[connected]\noutput=10\nactivation=linear\n[softmax]\n"
)  # fmt: skip


def test_a_classifier_learns_and_a_detector_takes_its_backbone(digits, tmp_path, capsys):
    (tmp_path / "small.cfg").write_text(SMALL)
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", str(tmp_path / "small.cfg"), "--data", str(digits), "--epochs", "8",
              "--lr", "1e-2", "--flip", "0", "--out", str(out),
              "--json", str(tmp_path / "trained.json")])  # fmt: skip
    assert ended.value.code == 0
    assert "top1" in capsys.readouterr().out
    trained = load_bundle(out / "bundle")
    assert trained.names == tuple("0123456789")
    _, validation = read_splits(digits)
    scores = top_scorer(trained.cfg, validation)(network_of(trained.cfg, trained.weights))
    assert scores["top1"] >= 0.8
    assert scores["top5"] >= scores["top1"]

    table = tmp_path / "scores.json"
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(out), "--data", str(digits), "--json", str(table)])
    assert ended.value.code == 0
    assert json.loads(table.read_text())["top1"] == scores["top1"]
    told = json.loads((tmp_path / "trained.json").read_text())
    assert (told["epochs"], told["top1"], told["top5"]) == (8, scores["top1"], scores["top5"])

    detector = parse(
        SMALL.split("[avgpool]")[0] + "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
        "[yolo]\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n"
    )
    imported = import_backbone(Bundle(detector, random_weights(detector, 7)), str(out / "bundle"))
    assert imported.n_sections == 5
    for key, value in imported.bundle.weights.items():
        if int(key.split(".")[0]) < 5:
            assert torch.equal(value, trained.weights[key])
    assert any("6.connected" in name for name in imported.left_over)


SIDE_16 = (
    "[net]\nwidth=16\nheight=16\n" + CONV.format(4, 2)
    + "[avgpool]\n[connected]\noutput=2\nactivation=linear\n"
)  # fmt: skip


@pytest.fixture
def two_classes(tmp_path, monkeypatch):
    """A classifier `model` of cat and dog; three pictures of each; the current folder."""
    cfg = parse(SIDE_16)
    Bundle(cfg, random_weights(cfg), class_names=("cat", "dog")).save(tmp_path / "model")
    (tmp_path / "small.cfg").write_text(SIDE_16)
    for name in ("cat", "dog"):
        for number in range(3):
            picture(tmp_path / "data" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


TAUGHT = (
    "distill small.cfg --teacher model --data data --epochs 1 --workers 0 --loss classes --out run"
)


@pytest.mark.parametrize("command", ["evaluate model --data data", TAUGHT])
def test_other_classes_of_the_same_number_are_refused(two_classes, command, capsys):
    assert status(command) == 0
    (two_classes / "data/dog").rename(two_classes / "data/bird")
    code, said = told(command.replace("run", "other"), capsys)
    assert code == 2
    assert "calls class 0 'cat', the data call it 'bird'" in " ".join(said.split())
    (two_classes / "model/names.txt").unlink()  # names that are not known are not compared
    assert status(command.replace("run", "other")) == 0


def test_a_picture_that_cannot_be_read_is_not_replaced_in_a_score(two_classes, capsys):
    (two_classes / "data/dog/1.png").write_bytes(b"no picture")
    code, said = told("evaluate model --data data", capsys)
    assert code == 2
    assert "data/dog/1.png is not a picture" in " ".join(said.split())


def test_items_are_crops_that_a_seed_fixes(digits):
    folders = read_picture_folders(digits / "train")
    pictures = LabelledSet(folders, (24, 20), Augmentation(), seed=3)
    image, label, _ = pictures[5]
    assert image.shape == (3, 24, 20)
    assert label == folders.class_ids[5]
    assert torch.equal(image, LabelledSet(folders, (24, 20), Augmentation(), seed=3)[5][0])
    pictures.set_epoch(1)
    assert not torch.equal(image, pictures[5][0])
    images, labels, _ = collate_labelled([pictures[k] for k in (0, 399)])
    assert images.shape == (2, 3, 24, 20)
    assert labels.tolist() == [0, 9]


def test_the_middle_keeps_the_aspect_of_the_input():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 110:190] = 255  # what a square of 0.875 x 100 px in the middle shows, and more
    assert middle(image, (50, 50)).shape == (50, 50, 3)
    assert middle(image, (50, 40)).min() == 255


def test_a_corrupt_picture_is_named(digits, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(b"\xff\xd8nothing")
    pictures = LabelledSet(read_picture_folders(tmp_path), (8, 8), None)
    item = collate_labelled([pictures[0], pictures[1]])
    assert isinstance(item, DataError)
    assert "x.jpg" in str(item)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ([], "0 folders"),
        (["a"], "1 folders"),
        (["a/", "b/"], "holds no picture"),
        (["train/a/", "train/b/", "val/a/"], "1 folders"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(make, told, tmp_path):
    for name in make:
        (tmp_path / name).mkdir(parents=True)
        if "train" in name or "val" in name:
            cv2.imwrite(str(tmp_path / name / "x.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=told):
        read_splits(tmp_path)


def test_classes_and_outputs_must_be_as_many(digits):
    folders = read_picture_folders(digits / "val")
    with pytest.raises(InputError, match=r"7x1x1 values.*10 classes"):
        require_logits(build("preresnet20", 7), folders)
    require_logits(build("preresnet20", 10), folders)


def test_a_softmax_at_the_end_is_the_loss_of_its_logits():
    linear = parse(SMALL.removesuffix("[softmax]\n"))
    raw = torch.randn(3, 10, 1, 1, dtype=torch.float64).float()
    labels = torch.tensor([1, 2, 3])
    plain = classification_loss([raw], labels, linear)["class"]
    soft = classification_loss([raw.softmax(dim=1)], labels, parse(SMALL + "[cost]\n"))["class"]
    assert soft.item() == pytest.approx(plain.item(), rel=1e-5)
    assert class_logits([raw], linear).shape == (3, 10)


def test_a_detector_on_a_folder_and_a_classifier_on_a_description_are_refused(digits, tmp_path):
    for arguments in (
        ["train", "yolov3-nano", "--data", str(digits), "--epochs", "1"],
        ["train", "preresnet20", "--data", str(digits), "--epochs", "1", "--teacher", "x"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--out", str(tmp_path / "run")])
        assert ended.value.code == 2
        assert not (tmp_path / "run").exists()


def test_a_backbone_of_another_network_is_refused(tmp_path):
    small = build("mobilenetv3-small", 2, 32)
    Bundle(small, random_weights(small)).save(tmp_path / "small")
    large = build("yolov3-tiny-mobilenetv3-large", 2, 64)
    with pytest.raises(WeightsError, match=r"from .* on it is not what .* kernels are left over"):
        import_backbone(Bundle(large, random_weights(large)), str(tmp_path / "small"))
