"""Darknet's .data files, lists and labels are read by Darknet's rules, faults by file and line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from yolo_slim.data.darknet import label_path, read_darknet, read_options
from yolo_slim.errors import DataError


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Three pictures 40 wide and 20 high in images/; a has two boxes, b an empty file, c none."""
    (tmp_path / "images" / "one").mkdir(parents=True)
    (tmp_path / "labels" / "one").mkdir(parents=True)
    for name in "abc":
        picture = np.zeros((20, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / "one" / f"{name}.png"), picture)
    (tmp_path / "labels/one/a.txt").write_text("1 0.5 0.5 0.5 0.5\n\n0 0.25 0.5 0.1 0.2\n")
    (tmp_path / "labels/one/b.txt").write_text("")
    lines = ["images/one/a.png", str(tmp_path / "images/one/b.png"), "", "images/one/c.png"]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "set.names").write_text("fig\nblue pear\n\n")
    file = tmp_path / "set.data"
    file.write_text("# a set\n;\nclasses = 2\nt r a i n = train.txt\nnames=set.names\nclasses=9\n")
    return file


def test_pictures_and_boxes(data_file):
    dataset = read_darknet(data_file, "train")
    assert dataset.class_names == ("fig", "blue pear")
    assert dataset.category_ids == (1, 2)
    assert [sample.image_id for sample in dataset.samples] == [1, 2, 3]
    assert [len(sample) for sample in dataset.samples] == [2, 0, 0]
    first = dataset.samples[0]
    np.testing.assert_allclose(first.boxes_xyxy, [[10, 5, 30, 15], [8, 8, 12, 12]], atol=1e-5)
    np.testing.assert_array_equal(first.class_ids, [1, 0])
    np.testing.assert_allclose(first.areas, [200, 16], rtol=1e-5)
    assert (first.width_px, first.height_px) == (40, 20)


def test_paths_start_at_the_working_directory_as_in_darknet(data_file, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "train.txt").write_text(str(tmp_path / "images/one/a.png"))
    monkeypatch.chdir(elsewhere)
    assert len(read_darknet(data_file, "train")) == 1


def test_options_drop_blanks_and_comments_and_the_first_of_two_counts(data_file):
    expected = {"classes": "2", "train": "train.txt", "names": "set.names"}
    assert read_options(data_file) == expected


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("/d/images/a.jpg", "/d/labels/a.txt"),
        ("/d/VOC/JPEGImages/a.b.png", "/d/VOC/labels/a.b.txt"),
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("/d/obj/a.jpg", "/d/obj/a.txt"),
        ("/d/my_images/a.jpg", "/d/my_images/a.txt"),
    ],
)
def test_where_labels_are_looked_for(image, label):
    assert label_path(Path(image)) == Path(label)


def test_labels_beside_the_pictures_are_found(data_file, tmp_path):
    (tmp_path / "labels/one/a.txt").rename(tmp_path / "images/one/a.txt")
    assert len(read_darknet(data_file, "train").samples[0]) == 2


def test_flat_boxes_are_left_out_and_counted(data_file, tmp_path):
    (tmp_path / "labels/one/b.txt").write_text("1 0.5 0.5 0 0.5\n")
    dataset = read_darknet(data_file, "train")
    assert len(dataset.samples[1]) == 0
    assert dataset.notes == ("1 boxes without width or height were left out",)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "labels/one/a.txt",
            "0 .5 .5 .1 .1\n2 .5 .5 .1 .1",
            r"a\.txt:2 has class 2, expected 0 to",
        ),
        ("labels/one/a.txt", "0 .5 .5 .1", r"a\.txt:1 reads `0 \.5 \.5 \.1`, expected `class cx"),
        ("labels/one/a.txt", "x .5 .5 .1 .1", "expected `class cx cy w h`"),
        ("labels/one/a.txt", "0 .5 .5 .1 .1 .9", "expected `class cx cy w h`"),
        ("labels/one/a.txt", "0 20 10 5 5", r"a\.txt:1 has 20, .*not pixels"),
        ("labels/one/a.txt", "0 nan .5 .1 .1", r"a\.txt:1 has nan"),
        (
            "train.txt",
            "images/one/a.png\nno.png",
            r"train\.txt:2 names no\.png, which is not there",
        ),
        ("train.txt", "", "has 0 images"),
        ("set.names", "\n", r"set\.names holds no class name"),
        ("set.names", "a\nb\nc", r"classes=2, set\.names has 3 names"),
        ("set.data", "train=train.txt", "has no `names=`. Found: train"),
        ("set.data", "names=set.names", "has no `train=`"),
        ("set.data", "names", r"set\.data:1 reads `names`, expected `key=value`"),
        ("set.data", "names=none\ntrain=train.txt", "none cannot be read"),
        ("images/one/a.png", "text", "is not a picture"),
    ],
)
def test_faults_name_file_and_line(data_file, tmp_path, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_darknet(data_file, "train")


def test_a_set_without_any_label_file_is_refused(data_file, tmp_path):
    for name in "ab":
        (tmp_path / f"labels/one/{name}.txt").unlink()
    with pytest.raises(DataError, match=r"none of 3 pictures has a label .*labels/one/a\.txt"):
        read_darknet(data_file, "train")


def test_a_picture_in_place_of_text_is_refused(data_file, tmp_path):
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_darknet(data_file, "train")
