"""Labelled digits are scikit-learn's, each once, in the folder of its class."""

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from yolo_slim.data.folders import read_picture_folders
from yolo_slim.data.labelled_digits import make_labelled_digits
from yolo_slim.errors import InputError


def test_every_digit_is_there_once_under_its_class(tmp_path):
    counts = make_labelled_digits(tmp_path / "d")
    assert sum(counts.values()) == 1797 and 300 < counts["val"] < 600
    found = []
    for split, n in counts.items():
        folders = read_picture_folders(tmp_path / "d" / split)
        assert folders.class_names == tuple("0123456789") and len(folders.paths) == n
        for path, class_id in zip(folders.paths, folders.class_ids, strict=True):
            picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            found.append((int(class_id), *np.rint(picture / 255 * 16).astype(int).flatten()))
    digits = load_digits()
    expected = [
        (int(t), *image.astype(int).flatten())
        for t, image in zip(digits.target, digits.images, strict=True)
    ]
    assert sorted(found) == sorted(expected)


def test_what_is_there_stays(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        make_labelled_digits(tmp_path)
    assert (tmp_path / "kept").read_text() == "mine"
