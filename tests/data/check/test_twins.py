"""Copies are found, strangers are not; and the fast search finds what a plain one does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from yolo_slim.data.check import twins
from yolo_slim.data.check.picture import Picture, thumbnail_of
from yolo_slim.data.image import read_image


def _pictures(images) -> list[Picture]:
    return [Picture(f"{k}.png", thumbnail=thumbnail_of(image)) for k, image in enumerate(images)]


def _copies(image):
    """name -> the same picture as another file."""
    height, width = image.shape[:2]
    cut_y, cut_x = height // 100, width // 100
    return {
        "quality 50": cv2.imdecode(cv2.imencode(".jpg", image, [1, 50])[1], 1),
        "half": cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "stretched": cv2.resize(image, (416, 416)),
        "cropped": image[cut_y : height - cut_y, cut_x : width - cut_x],
    }


def test_copies_are_near_and_strangers_are_not(scene):
    images = [cv2.resize(scene(), (480, 360)) for _ in range(30)]
    for index, image in enumerate(images[:5]):
        for name, copy in _copies(image).items():
            pairs = list(twins.near_pairs(_pictures([*images, copy])))
            assert [pair[:2] for pair in pairs] == [(index, 30)], name


def test_pairs_are_those_of_a_plain_loop(rng):
    grey = rng.integers(0, 256, (40, 16, 17)).astype(np.uint8)
    noise = rng.integers(-6, 7, grey.shape)
    noisy = np.clip(grey.astype(int) + noise, 0, 255).astype(np.uint8)
    thumbnails = [*grey, *noisy[:20]]
    found = twins.near_pairs([Picture("x", thumbnail=small) for small in thumbnails])
    expected = []
    for i, one in enumerate(thumbnails):
        for j, other in enumerate(thumbnails[:]):
            bits = int(((one[:, 1:] > one[:, :-1]) != (other[:, 1:] > other[:, :-1])).sum())
            close = np.corrcoef(one.ravel(), other.ravel())[0, 1] >= twins.MIN_CORRELATION
            if i < j and bits <= twins.MAX_BITS and close:
                expected.append((i, j, bits))
    assert sorted(found) == sorted(expected) and len(expected) == 20


def test_blocks_give_what_one_block_gives(rng, monkeypatch):
    grey = rng.integers(0, 256, (30, 16, 17)).astype(np.uint8)
    pictures = [Picture("x", thumbnail=small) for small in [*grey, *grey[::3]]]
    whole = sorted(twins.near_pairs(pictures))
    monkeypatch.setattr(twins, "_BLOCK", 7)
    assert sorted(twins.near_pairs(pictures)) == whole and len(whole) == 10


@pytest.mark.parametrize(
    ("digests", "kinds"),
    [
        ("abc", []),
        ("aab", [("duplicate picture", "train", "1.png")]),
        ("aba", [("leak", "val", "0.png")]),
        ("aaa", [("duplicate picture", "train", "1.png"), ("leak", "val", "0.png")]),
    ],
)
def test_the_same_bytes(digests, kinds, evidence):
    made = evidence([[], []], [[]])
    pictures = {
        path: replace(picture, digest=digest)
        for (path, picture), digest in zip(made.pictures.items(), digests, strict=True)
    }
    found = list(twins.exact(replace(made, pictures=pictures)))
    assert [(f.kind, f.split, f.file) for f in found] == kinds
    assert all(f.twin == ("train", "0.png") for f in found)


def test_missing_pictures_are_not_each_others_copies(evidence):
    made = evidence([[], []], [[]])
    assert list(twins.exact(made)) == list(twins.near(made)) == []


def test_a_near_leak_goes_before_a_near_duplicate(evidence, scene):
    image = cv2.resize(scene(), (480, 360))
    images = [image, _copies(image)["half"], _copies(image)["quality 50"]]
    made = evidence([[], []], [[]])
    pictures = {
        path: Picture(path, digest=str(k), thumbnail=thumbnail_of(image))
        for k, (path, image) in enumerate(zip(made.pictures, images, strict=True))
    }
    found = list(twins.near(replace(made, pictures=pictures)))
    assert [(f.kind, f.split, f.file) for f in found] == [
        ("near-duplicate picture", "train", "1.png"),
        ("near leak", "val", "0.png"),
    ]
    assert found[1].twin is not None and found[1].twin[0] == "train"


def test_real_pictures_and_their_copies(shared_data):
    """The measurement behind the thresholds, on a part of the pictures."""
    files = sorted((shared_data / "coco" / "dev_val2017").glob("*.jpg"))[::4]
    files += sorted((shared_data / "cbc" / "test").glob("*.jpg"))[::4]
    images = [read_image(file) for file in files]
    assert list(twins.near_pairs(_pictures(images))) == []
    for name in ("quality 50", "half", "stretched", "cropped"):
        pairs = twins.near_pairs(_pictures([*images, *(_copies(i)[name] for i in images)]))
        found = {(i, j) for i, j, _ in pairs}
        assert {(i, j) for i, j in found if j != i + len(images)} == set(), name
        assert len(found) >= 0.9 * len(images), name
