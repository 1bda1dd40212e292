"""A data set has the same fingerprint wherever it lies, and another one with other pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_sets import picture

from yolo_slim.data.dataset import Dataset
from yolo_slim.data.folders import PictureFolders, read_picture_folders
from yolo_slim.data.unlabelled import read_unlabelled
from yolo_slim.pipeline.fingerprint import fingerprint


@pytest.mark.parametrize("read", [read_unlabelled, read_picture_folders])
def test_other_pictures_under_the_same_names_are_other_data(
    read: Callable[[Path], Dataset | PictureFolders], tmp_path: Path
) -> None:
    for folder in ("here", "there"):
        for name in ("cat/1.png", "dog/2.png"):
            picture(tmp_path / folder / name)
    before = fingerprint(read(tmp_path / "here"))
    assert fingerprint(read(tmp_path / "there")) == before
    path = tmp_path / "there" / "cat" / "1.png"
    path.write_bytes(path.read_bytes() + b"a comment")
    assert fingerprint(read(tmp_path / "there")) != before


@pytest.mark.parametrize("read", [read_unlabelled, read_picture_folders])
def test_a_name_that_is_not_utf_8_is_told_from_another(
    read: Callable[[Path], Dataset | PictureFolders], tmp_path: Path
) -> None:
    found = []
    for name in (b"caf\xe9.png", b"caf\xe8.png"):
        folder = tmp_path / str(len(found))
        picture(folder / "cat" / "1.png")
        picture(folder / "dog" / os.fsdecode(name))
        found.append(fingerprint(read(folder)))
    assert len(set(found)) == 2
