"""COCO -> another form -> COCO gives the same boxes; what a form cannot hold is told."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_sets import assert_same_boxes, picture

from yolo_slim.data.carried import TARGETS, carried
from yolo_slim.data.coco import read_coco
from yolo_slim.data.convert import convert
from yolo_slim.data.dataset import Dataset, Sample, sample_of
from yolo_slim.data.describe import read_dataset, splits_in
from yolo_slim.errors import DataError
from yolo_slim.files import whole_folder

WITHOUT_CROWD = ("yolo", "darknet")
REAL = ["cbc/train", "cbc/test", "fruit/train", "fruit/test", "coco/dev_train2017",
        "coco/dev_val2017"]  # fmt: skip


def real(shared_data: Path, name: str) -> Dataset:
    images = shared_data / name
    return read_coco(images, images.parent / "annotations" / f"{images.name}.json")


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", REAL)
def test_real_sets_come_back_from_every_form(shared_data, tmp_path, name, to):
    given = real(shared_data, name)
    written = convert({"train": given}, to, tmp_path / "there")
    there = read_dataset(written.description, None, None, "train")
    again = convert({"train": there}, "coco", tmp_path / "back")
    back = read_dataset(again.description, None, None, "train")
    crowd = to not in WITHOUT_CROWD
    assert_same_boxes(given, there, ids=to == "coco", crowd=crowd)
    assert_same_boxes(given, back, ids=to == "coco", crowd=crowd)
    lost = 0 if crowd else sum(int(sample.crowd.sum()) for sample in given.samples)
    assert written.boxes["train"] == sum(map(len, given.samples)) - lost
    told = " ".join(written.notes)
    assert (f"{lost} crowd boxes were left out" in told) == bool(lost)
    assert ("have a polygon or mask" in told) == bool(given.n_outlines)
    assert there.notes == ()


@pytest.mark.parametrize("pictures", ["link", "copy", "none"])
@pytest.mark.parametrize("to", TARGETS)
def test_both_splits_and_a_description_ready_for_use(shared_data, tmp_path, to, pictures):
    given = {"train": real(shared_data, "cbc/test"), "val": real(shared_data, "fruit/test")}
    given["train"] = replace(given["train"], class_names=given["val"].class_names)
    calls: list[tuple[int, int]] = []
    written = convert(given, to, tmp_path / "o", pictures, lambda *c: calls.append(c))
    assert splits_in(written.description) == ("train", "val")
    for split, dataset in given.items():
        found = read_dataset(written.description, None, None, split)
        assert_same_boxes(dataset, found)
        assert written.images[split] == 60
        for sample in found.samples:
            inside = sample.path.is_relative_to(tmp_path / "o")
            assert inside == (pictures != "none")
            assert sample.path.is_symlink() == (pictures == "link")
    assert calls[-1] == (120, 120) and len(calls) == 120


def made(folder: Path, boxes, size=(40, 30), crowd=(), names=("fig", "pear"), name="a.png"):
    rows = [(*box, k % len(names), k in crowd, None) for k, box in enumerate(boxes)]
    path = picture(folder / name, *size)
    sample, _ = sample_of(path, 1, size, rows)
    return Dataset("made", (sample,), tuple(names), tuple(range(1, len(names) + 1)))


SIDE = st.floats(-20, 700, width=32)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    corners=st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=5),
    size=st.tuples(st.integers(1, 999), st.integers(1, 999)),
    to=st.sampled_from(["voc", "labelme", "coco"]),
)
def test_any_box_survives_forms_in_pixels(tmp_path_factory, corners, size, to):
    folder = tmp_path_factory.mktemp("any")
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    # COCO is written to a thousandth of a pixel: thinner boxes have no width there.
    boxes = [b for b in boxes if min(b[2] - b[0], b[3] - b[1]) > 0.01]
    given_set = made(folder / "images", boxes, size, crowd=(1, 2))
    written = convert({"train": given_set}, to, folder / "out")
    found = read_dataset(written.description, None, None, "train")
    assert_same_boxes(given_set, found, atol_px=1.1e-3 if to == "coco" else 0)


PART = st.integers(0, 40)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    corners=st.lists(st.tuples(PART, PART, PART, PART), max_size=5),
    size=st.tuples(st.integers(1, 9999), st.integers(1, 999)),
    to=st.sampled_from(WITHOUT_CROWD),
)
def test_any_box_within_the_picture_survives_parts_of_one(tmp_path_factory, corners, size, to):
    folder = tmp_path_factory.mktemp("any")
    scale = np.array([*size, *size]) / 40
    boxes = [
        tuple(np.array([min(a, c), min(b, d), max(a, c), max(b, d)]) * scale)
        for a, b, c, d in corners
        if a != c and b != d
    ]
    given_set = made(folder / "images", boxes, size)
    written = convert({"val": given_set}, to, folder / "out")
    assert written.notes == ()
    assert_same_boxes(given_set, read_dataset(written.description, None, None, "val"))


def test_what_numbers_from_0_to_1_cannot_say_is_cut_or_left_out_and_told(tmp_path):
    boxes = [(-5, 5, 20, 10), (-30, 5, 10, 10), (-30, -9, 90, 40), (41, 5, 50, 9), (1, 1, 5, 5)]
    given_set = made(tmp_path / "images", boxes, crowd=(4,))
    fitting, notes = carried(given_set, "yolo")
    expected = [[-5, 5, 20, 10], [0, 5, 10, 10], [0, 0, 40, 30]]
    np.testing.assert_array_equal(fitting.samples[0].boxes_xyxy, expected)
    assert any(note.startswith("1 crowd boxes were left out") for note in notes)
    assert any(note.startswith("2 boxes were cut off") for note in notes)
    assert any(note.startswith("1 boxes outside") for note in notes)
    assert not any("area" in note for note in notes)
    written = convert({"train": given_set}, "yolo", tmp_path / "out")
    found = read_dataset(written.description, None, None, "train")
    np.testing.assert_allclose(found.samples[0].boxes_xyxy, expected, atol=1e-5)


def test_lost_numbers_are_told(tmp_path):
    given_set = made(tmp_path / "images", [(1, 2, 11, 22)])
    sample = replace(given_set.samples[0], areas=np.array([50], np.float32))
    lossy = replace(given_set, samples=(sample,), category_ids=(3, 90), n_outlines=1)
    assert carried(lossy, "coco")[1] == (
        "1 objects have a polygon or mask: only their boxes are written",
    )
    told = " ".join(carried(lossy, "voc")[1])
    assert "1 objects have an area other than their box's" in told
    assert "the category ids 3 to 90 are not held by voc" in told


def test_pictures_keep_their_place_below_the_common_folder(tmp_path):
    first = made(tmp_path / "images", [(1, 2, 3, 4)], name="day/a.png")
    second = made(tmp_path / "images", [(5, 6, 7, 8)], name="night/a.png")
    samples = (*first.samples, replace(second.samples[0], image_id=2))
    both = replace(first, samples=samples)
    for to in TARGETS:
        written = convert({"train": both}, to, tmp_path / to)
        found = read_dataset(written.description, None, None, "train")
        places = [s.path.relative_to(tmp_path / to).as_posix() for s in found.samples]
        assert places == ["images/train/day/a.png", "images/train/night/a.png"]
        assert [s.boxes_xyxy[0, 0] for s in found.samples] == [1, 5]


def test_odd_names_of_classes_and_pictures_survive(tmp_path):
    names = ("<b> & 'c'", "Käse: 1", "true", "#7")
    given_set = made(tmp_path / "images", [(1, 2, 3, 4)] * 4, names=names, name="a & <b> 'ü'.png")
    for to in TARGETS:
        written = convert({"train": given_set}, to, tmp_path / to)
        assert_same_boxes(given_set, read_dataset(written.description, None, None, "train"))


def test_a_folder_called_images_on_the_way_is_no_hindrance(tmp_path):
    given_set = made(tmp_path / "images", [(1, 2, 3, 4)])
    for to in WITHOUT_CROWD:
        written = convert({"train": given_set}, to, tmp_path / "x" / "images" / to)
        assert_same_boxes(given_set, read_dataset(written.description, None, None, "train"))


FOLDERS = {
    "one": ("a/images", "b/pictures"),
    "some": ("a/images/x", "images/b", "c"),
    "all": ("a/images", "b/images"),
    "of VOC": ("VOC2007/JPEGImages", "VOC2012/JPEGImages"),
}


@pytest.mark.parametrize("pictures", ["link", "none"])
@pytest.mark.parametrize("called", FOLDERS)
@pytest.mark.parametrize("to", TARGETS)
def test_folders_called_images_among_those_of_a_split_lose_no_box(tmp_path, to, called, pictures):
    parts = [made(tmp_path / "in" / folder, [(1, 2, 3, 4 + k)], name=f"{k}.png")
             for k, folder in enumerate(FOLDERS[called])]  # fmt: skip
    samples = [replace(part.samples[0], image_id=k) for k, part in enumerate(parts, 1)]
    given_set = replace(parts[0], samples=tuple(samples))
    written = convert({"train": given_set}, to, tmp_path / "out", pictures)
    assert_same_boxes(given_set, read_dataset(written.description, None, None, "train"))
    if to == "yolo" and pictures == "link":  # where Ultralytics looks: the last `images`
        for image in (tmp_path / "out").rglob("*.png"):
            before, _, after = image.with_suffix(".txt").as_posix().rpartition("/images/")
            assert Path(f"{before}/labels/{after}").is_file()


def test_links_leave_what_they_point_to_alone(tmp_path):
    given_set = made(tmp_path / "images", [(1, 2, 3, 4)])
    original = given_set.samples[0].path
    original.chmod(0o400)
    convert({"train": given_set}, "yolo", tmp_path / "out")
    assert stat.S_IMODE(original.stat().st_mode) == 0o400
    convert({"train": given_set}, "yolo", tmp_path / "copies", "copy")
    copy = tmp_path / "copies/images/train/a.png"
    assert copy.read_bytes() == original.read_bytes() and os.access(copy, os.W_OK)


def test_a_folder_with_a_dangling_link_is_made_whole(tmp_path):
    with whole_folder(tmp_path / "out") as folder:
        (folder / "link").symlink_to(tmp_path / "nowhere")
    assert (tmp_path / "out" / "link").is_symlink()


def test_the_description_of_yolo_is_ultralyticss_own(tmp_path):
    written = convert({"train": made(tmp_path / "images", [(1, 2, 3, 4)])}, "yolo", tmp_path / "o")
    document = yaml.safe_load(written.description.read_text())
    assert document == {"train": "images/train", "names": {0: "fig", 1: "pear"}}
    assert (tmp_path / "o/labels/train/a.txt").read_text() == "0 0.05 0.1 0.05 0.0666666667\n"


def _renamed(dataset: Dataset, name: str) -> Dataset:
    sample = dataset.samples[0]
    return replace(dataset, samples=(replace(sample, path=sample.path.rename(
        sample.path.with_name(name))),))  # fmt: skip


def _pair(one: Sample, name: str) -> tuple[Sample, Sample]:
    return one, replace(one, path=picture(one.path.parent / name), image_id=2)


BAD = {
    "another folder's content": ("yolo", "is not empty: nothing was written"),
    "two of a stem": ("voc", r"a\.png and .*a\.jpg would have the same annotations in voc"),
    "two of a place": ("yolo", r"a\.png and .*a\.png would have the same annotations in yolo"),
    "two entries for a picture": ("yolo", r"made has two entries for .*a\.png. Join their boxes"),
    "two entries for a picture in COCO": ("coco", r"made has two entries for .*a\.png"),
    "a suffix that no one knows": ("labelme", r"a\.data would not be found as a picture"),
    "a line break in a name": ("darknet", "has a name that lists and files cannot hold"),
    "two classes of a name": ("voc", "has two classes called fig, which voc cannot tell apart"),
    "a class without a name": ("yolo", "has a class called ' ', which yolo cannot hold"),
    "a control character in a class": ("voc", "which voc cannot hold"),
    "other classes": ("yolo", r"train and val have different classes \(kiwi, pear\)"),
    "another order": ("yolo", r"different classes \(their order\)"),
    "another size": ("yolo", r"a\.png has 40x30 pixels, its annotations say 30x40.*EXIF"),
    "no picture": ("coco", r"a\.png cannot be read"),
    "pictures of another split": ("yolo none", "has 1 pictures that train does not have"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, case):
    to, message = BAD[case]
    given_set = made(tmp_path / "images", [(1, 2, 3, 4)])
    splits = {"train": given_set}
    if case == "another folder's content":
        picture(tmp_path / "out" / "x.png")
    elif case == "two of a stem":
        splits["train"] = replace(given_set, samples=_pair(given_set.samples[0], "a.jpg"))
    elif case == "two of a place":
        splits["train"] = replace(given_set, samples=_pair(given_set.samples[0], "images/a.png"))
    elif case.startswith("two entries"):
        sample = given_set.samples[0]
        splits["train"] = replace(given_set, samples=(sample, replace(sample, image_id=2)))
    elif case == "a suffix that no one knows":
        splits["train"] = _renamed(given_set, "a.data")
    elif case == "a line break in a name":
        splits["train"] = _renamed(given_set, "a\nb.png")
    elif case == "two classes of a name":
        splits["train"] = replace(given_set, class_names=("fig", " fig"))
    elif case == "a class without a name":
        splits["train"] = replace(given_set, class_names=("fig", " "))
    elif case == "a control character in a class":
        splits["train"] = replace(given_set, class_names=("fig", "a\x07b"))
    elif case == "other classes":
        splits["val"] = replace(given_set, class_names=("fig", "kiwi"))
    elif case == "another order":
        splits["val"] = replace(given_set, class_names=("pear", "fig"))
    elif case == "another size":
        turned = replace(given_set.samples[0], width_px=30, height_px=40)
        splits["train"] = replace(given_set, samples=(turned,))
    elif case == "no picture":
        given_set.samples[0].path.unlink()
    elif case == "pictures of another split":
        picture(tmp_path / "images" / "other.png")
    form, *pictures = to.split()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        convert(splits, form, tmp_path / "out", *pictures)  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == before
