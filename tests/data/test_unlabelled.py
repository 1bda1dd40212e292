"""Pictures without labels, alone and beside labelled ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolo_slim.data.dataset import Dataset, sample_of
from yolo_slim.data.unlabelled import read_unlabelled, with_unlabelled
from yolo_slim.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name, (width, height) in {"a": (5, 4), "b/c": (7, 3)}.items():
        path = tmp_path / f"pictures/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return tmp_path / "pictures"


def test_every_picture_below_the_folder(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    found = read_unlabelled(folder)
    assert [(s.path.name, s.width_px, s.height_px, len(s)) for s in found.samples] == [
        ("a.png", 5, 4, 0), ("c.png", 7, 3, 0),
    ]  # fmt: skip
    (note,) = found.notes
    assert "1 pictures cannot be read" in note and "broken.png" in note


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(DataError, match="0 images"):
        read_unlabelled(tmp_path)


def test_pictures_that_cannot_be_read_are_told(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of 2 pictures can be read.*a\.png is not a picture"):
        read_unlabelled(tmp_path)


def test_one_that_is_labelled_counts_once(folder):
    known, _ = sample_of(folder / "a.png", 7, (5, 4), [(0, 0, 3, 3, 0, False, None)])
    labelled = Dataset("labelled", (known,), ("thing",), (1,))
    both = with_unlabelled(labelled, read_unlabelled(folder))
    assert [(s.path.name, len(s), s.image_id) for s in both.samples] == [
        ("a.png", 1, 0), ("c.png", 0, 1),
    ]  # fmt: skip
    assert both.class_names == ("thing",)
