"""Whole data sets: real ones with what is known of them, and any that a reader can read."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from yolo_slim.data.check import run
from yolo_slim.data.check.finding import KINDS
from yolo_slim.data.check.picture import Picture
from yolo_slim.data.check.run import CHECKS, check_splits
from yolo_slim.data.check.sources import read_splits, rows_of
from yolo_slim.data.coco import read_coco
from yolo_slim.errors import DataError
from yolo_slim.findings import by_kind


def _real(shared_data, name, parts):
    found = []
    for part in parts:
        folder = shared_data / name
        found += read_splits(None, folder / part, folder / "annotations" / f"{part}.json")
    return check_splits(tuple(found))


def _files(shared_data, name):
    return [p for p in sorted((shared_data / name).rglob("*.jpg")) if p.is_file()]


@pytest.fixture(scope="module")
def cache():
    return {}


@pytest.fixture
def fruit(shared_data, cache):
    if "fruit" not in cache:
        cache["fruit"] = _real(shared_data, "fruit", ("train", "test"))
    return cache["fruit"]


def test_fruit_has_the_files_that_their_first_bytes_say(shared_data, fruit):
    png = [p.name for p in _files(shared_data, "fruit") if p.read_bytes()[:4] == b"\x89PNG"]
    found = [f.file for f in by_kind(fruit.findings, KINDS)["other format than its name"]]
    assert sorted(found) == sorted(png) and len(png) == 37


def test_fruit_has_the_modes_and_orientations_that_pillow_says(shared_data, fruit):
    expected = {"palette": [], "transparency": [], "grey": [], "invalid EXIF orientation": []}
    for path in _files(shared_data, "fruit"):
        with Image.open(path) as picture:
            for kind, modes in (("palette", "P"), ("transparency", "RGBA"), ("grey", "L")):
                expected[kind] += [path.name] * (picture.mode == modes)
            is_jpeg = picture.format == "JPEG"
            value = picture.getexif().get(0x0112) if is_jpeg else None
        expected["invalid EXIF orientation"] += [path.name] * (value == 0)
    groups = by_kind(fruit.findings, KINDS)
    for kind, files in expected.items():
        assert sorted(f.file for f in groups.get(kind, [])) == sorted(files), kind
    assert (len(expected["invalid EXIF orientation"]), len(expected["transparency"])) == (3, 25)
    assert fruit.n_faults == 0 and "turned by EXIF" not in groups


@pytest.mark.parametrize(
    ("name", "parts", "kinds"),
    [
        ("cbc", ("train", "test"), {"near-duplicate picture": 1, "imbalance": 2}),
        (
            "coco",
            ("dev_train2017", "dev_val2017"),
            {"tiny box": 4, "class without boxes": 16, "grey": 2, "imbalance": 2,
             "image without boxes": 2},
        ),
    ],
)  # fmt: skip
def test_real_sets_have_no_fault(name, parts, kinds, shared_data):
    outcome = _real(shared_data, name, parts)
    assert {kind: len(found) for kind, found in by_kind(outcome.findings, KINDS).items()} == kinds
    assert outcome.n_faults == 0


def test_every_broken_picture_is_named(document, write_set):
    images, annotations = write_set(document)
    document["images"] += [
        {"id": 10 + k, "file_name": name, "width": 40, "height": 30}
        for k, name in enumerate(("gone.png", "cut.png", "text.jpg", "gone_too.jpg"))
    ]
    annotations.write_text(json.dumps(document))
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:-8])
    (images / "text.jpg").write_text("dear")
    with pytest.raises(DataError, match="lacks 2 of the pictures"):
        read_coco(images, annotations)
    outcome = check_splits(read_splits(None, images, annotations))
    groups = by_kind(outcome.findings, KINDS)
    assert [f.file for f in groups["missing image"]] == ["gone.png", "gone_too.jpg"]
    assert [f.file for f in groups["unreadable image"]] == ["cut.png", "text.jpg"]
    assert "ends early" in groups["unreadable image"][0].found


def test_progress_reaches_its_end(document, write_set):
    steps = []
    check_splits(read_splits(None, *write_set(document)), progress=lambda *s: steps.append(s))
    assert steps == [(1, 2), (2, 2)]


def test_ctrl_c_does_not_wait_for_the_rest(evidence, monkeypatch):
    looked = []

    def look(path):
        time.sleep(0.002)
        looked.append(path)
        return Picture(path)

    monkeypatch.setattr(run, "look_at", look)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_splits(evidence([[]] * 5000).splits, progress=stop)
    assert len(looked) < 4000


def test_a_read_data_set_has_its_boxes_and_its_notes(document, write_set):
    document["annotations"].append({"id": 1, "image_id": 2, "category_id": 3, "bbox": [1, 1, 0, 5]})
    dataset = read_coco(*write_set(document))
    split = rows_of(dataset, "val")
    assert [(f.kind, f.split, f.found) for f in split.findings] == [
        ("flat box", "val", "1 boxes without width or height were left out")
    ]
    np.testing.assert_array_equal(
        [box.box_xyxy for box in split.images[0].boxes], dataset.samples[0].boxes_xyxy
    )
    assert [box.annotation for box in split.images[0].boxes] == [0, 1]


def _write_description(folder, text):
    (folder / "set.yaml").write_text(text)
    return folder / "set.yaml"


def test_both_splits_of_a_description(document, write_set, tmp_path):
    write_set(document)
    part = "{images: images, annotations: set.json}"
    data = _write_description(tmp_path, f"train: {part}\nval: {part}\nnames: [A, B]\n")
    outcome = check_splits(read_splits(data, None, None))
    assert [s.split for s in outcome.evidence.splits] == ["train", "val"]
    assert outcome.evidence.splits[1].class_names == ("A", "B")
    leaks = by_kind(outcome.findings, KINDS)["leak"]
    assert [(f.split, f.file) for f in leaks] == [("val", "a.png"), ("val", "b.png")]
    alone = _write_description(tmp_path, f"val: {part}\n")
    assert [s.split for s in read_splits(alone, None, None)] == ["val"]


@pytest.mark.parametrize(
    "text", ["", "- a", "train: 5", "train: {images: no, annotations: set.json}", "trian: {}",
             "train: {images: images, annotations: none.json}", "names: [a]", "{",
             "train: {images: images, annotations: set.json, kind: x}"]
)  # fmt: skip
def test_a_description_that_cannot_be_used(text, document, write_set, tmp_path):
    write_set(document)
    with pytest.raises(DataError):
        read_splits(_write_description(tmp_path, text), None, None)


def test_darknet_lists_are_read_by_their_reader(tmp_path, scene):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), scene())
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0 0.5\n")
    (tmp_path / "train.txt").write_text(f"{tmp_path}/a.png\n{tmp_path}/b.png\n")
    (tmp_path / "names.txt").write_text("fig\n")
    (tmp_path / "x.data").write_text("train=train.txt\nnames=names.txt\n")
    outcome = check_splits(read_splits(tmp_path / "x.data", None, None))
    found = {kind: len(group) for kind, group in by_kind(outcome.findings, KINDS).items()}
    assert found == {"flat box": 1, "duplicate box": 1, "image without boxes": 1}


def test_checks_are_functions_of_their_own():
    assert len(set(CHECKS)) == len(CHECKS) >= 16
