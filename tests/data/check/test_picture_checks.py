"""Each check of files finds its own fault, and nothing in sound files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yolo_slim.data.check import picture_checks
from yolo_slim.data.check.picture import Picture
from yolo_slim.data.check.rows import RawImage

SOUND = {"format": "PNG", "size_wh": (100, 80), "mode": "RGB"}

CASES = [
    (picture_checks.missing, {"missing": True}, ["missing image"], "no file 0.png in train"),
    (picture_checks.unreadable, {"fault": "ends early"}, ["unreadable image"], "ends early"),
    (
        picture_checks.other_format,
        {"format": "JPEG"},
        ["other format than its name"],
        "called .png",
    ),
    (picture_checks.other_format, {"format": None}, [], ""),
    (picture_checks.other_size, {"size_wh": (100, 81)}, ["other size"], "annotations say 100x80"),
    (picture_checks.other_size, {"size_wh": (80, 100)}, ["other size"], "on its side"),
    (picture_checks.other_size, {"size_wh": None}, [], ""),
    (picture_checks.orientation, {"orientation": 1}, [], ""),
    (picture_checks.orientation, {"orientation": 6}, ["turned by EXIF"], "clockwise"),
    (picture_checks.orientation, {"orientation": 0}, ["invalid EXIF orientation"], "orientation 0"),
    (picture_checks.orientation, {"orientation": 9}, ["invalid EXIF orientation"], "orientation 9"),
    (picture_checks.colour, {"mode": "L"}, ["grey"], "mode L"),
    (picture_checks.colour, {"mode": "P"}, ["palette"], "mode P"),
    (picture_checks.colour, {"mode": "LA"}, ["grey", "transparency"], "mode LA"),
    (picture_checks.colour, {"mode": "CMYK"}, ["CMYK"], "CMYK"),
    (picture_checks.colour, {"mode": "I;16", "bits": 16}, ["grey", "16 bits"], "16 bits"),
    (picture_checks.colour, {"mode": "RGB", "bits": 16}, ["16 bits"], "16 bits"),
]


@pytest.mark.parametrize(("check", "facts", "kinds", "told"), CASES)
def test_each_check(check, facts, kinds, told, evidence):
    made = evidence([[]])
    (path,) = made.pictures
    sound = replace(made, pictures={path: Picture(path, **SOUND)})
    assert list(check(sound)) == []
    found = list(check(replace(made, pictures={path: Picture(path, **{**SOUND, **facts})})))
    assert [finding.kind for finding in found] == kinds
    assert all(told in f.found and f.file == "0.png" and f.split == "train" for f in found)


def test_any_name_of_a_format_is_right_whatever_its_case(evidence):
    made = evidence([[]])
    (split,) = made.splits
    for name in ("a.JPG", "a.jpeg", "a", "a.v1.jpg", "a.dat"):
        (path,) = made.pictures
        entry = RawImage(name, path.with_name(name), None, ())
        other = replace(
            made,
            splits=(replace(split, images=(entry,)),),
            pictures={entry.path: Picture(entry.path, format="JPEG")},
        )
        assert list(picture_checks.other_format(other)) == []
