"""labelme's shapes become the boxes around them; what has no area is left out and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_sets import assert_same_boxes, picture

from yolo_slim.data.coco import read_coco
from yolo_slim.data.describe import read_dataset
from yolo_slim.errors import DataError


def shape(kind: str | None, *points: Any, label: Any = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": [list(p) for p in points], "shape_type": kind, **more}


@pytest.fixture
def read(tmp_path: Path):
    """Reads the picture a.png beside its JSON, which has the given shapes or is the given text."""
    picture(tmp_path / "set" / "a.png")

    def reader(*shapes: Any, text: str | None = None, names=(), **more: Any):
        document = {
            "version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png",
            "imageData": None, "imageHeight": 30, "imageWidth": 40, **more,
        }  # fmt: skip
        (tmp_path / "set" / "a.json").write_text(text or json.dumps(document))
        return read_dataset(None, tmp_path / "set", tmp_path / "set", "train", names=names)

    return reader


SHAPES = {
    "rectangle": (shape("rectangle", (11, 22), (1, 2.5)), (1, 2.5, 11, 22)),
    "rectangle of four corners": (
        shape("rectangle", (1, 2), (11, 2), (11, 22), (1, 22)), (1, 2, 11, 22)),
    "polygon": (shape("polygon", (3, 1), (9, 5), (1, 8), (4, 4)), (1, 1, 9, 8)),
    "circle": (shape("circle", (10, 10), (13, 14)), (5, 5, 15, 15)),
    "mask": (shape("mask", (2, 3), (5, 7), mask="iVBORw0KGgo="), (2, 3, 6, 8)),
    "oriented": (shape("oriented_rectangle", (3, 0), (6, 3), (3, 6), (0, 3)), (0, 0, 6, 6)),
    "before version 3": (shape(None, (3, 1), (9, 5), (1, 8)), (1, 1, 9, 8)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_the_box_around_a_shape(read, kind):
    drawn, box = SHAPES[kind]
    dataset = read(drawn)
    np.testing.assert_array_equal(dataset.samples[0].boxes_xyxy, [box])
    assert dataset.n_outlines == int(not kind.startswith("rectangle"))


def test_shapes_without_an_area_are_left_out_and_counted(read):
    dataset = read(
        shape("point", (1, 2)),
        shape("line", (1, 2), (3, 4)),
        shape("linestrip", (1, 2), (3, 4), (5, 0)),
        shape("line", (0, 0), (3, 4)),
        shape("rectangle", (1, 1), (5, 5)),
        shape("rectangle", (1, 1), (1, 5)),
    )
    assert len(dataset.samples[0]) == 1
    assert "shapes without an area were left out: 2 line, 1 linestrip, 1 point" in dataset.notes
    assert "1 boxes without width or height were left out" in dataset.notes


def test_shapes_of_a_group_are_one_object(read):
    dataset = read(
        shape("polygon", (1, 1), (4, 1), (4, 4), group_id=1),
        shape("rectangle", (5, 5), (7, 7), label="dog", group_id=1),
        shape("polygon", (9, 9), (12, 8), (12, 12), group_id=1),
        shape("rectangle", (20, 20), (22, 22), group_id=None),
        shape("rectangle", (24, 20), (26, 22), group_id=None),
    )
    expected = [[1, 1, 12, 12], [5, 5, 7, 7], [20, 20, 22, 22], [24, 20, 26, 22]]
    np.testing.assert_array_equal(dataset.samples[0].boxes_xyxy, expected)
    assert "1 shapes were joined to another by their group_id" in dataset.notes


@pytest.mark.parametrize(
    ("flags", "crowd"),
    [({"iscrowd": True}, True), ({"difficult": True}, True), ({"iscrowd": False}, False),
     ({"occluded": True}, False), (None, False)],
)  # fmt: skip
def test_a_flag_says_crowd(read, flags, crowd):
    assert read(shape("rectangle", (1, 1), (5, 5), flags=flags)).samples[0].crowd.tolist() == [
        crowd
    ]


def test_a_missing_size_is_that_of_the_picture(read):
    sample = read(shape("rectangle", (1, 1), (5, 5)), imageWidth=None, imageHeight=None).samples[0]
    assert (sample.width_px, sample.height_px) == (40, 30)


def test_labels_that_are_numbers_are_names(read):
    assert read(shape("rectangle", (1, 1), (5, 5), label=7)).class_names == ("7",)


def test_a_picture_without_shapes_is_one_without_objects(read):
    dataset = read(names=("cat",))
    assert len(dataset) == 1 and len(dataset.samples[0]) == 0


SQUARE = ((1, 1), (5, 5))
BAD = [
    ((), {"text": "{"}, r"a\.json is not JSON"),
    ((), {"text": "[]"}, r"a\.json has no list `shapes`"),
    ((), {"text": '{"images": [], "annotations": []}'}, "It is COCO: name the file itself"),
    ((), {"text": "[" * 100_000}, "is not JSON"),
    ((7,), {}, "shape 0 is 7, expected an object"),
    ((shape("rectangle", *SQUARE, label=""),), {}, "shape 0 has label '', expected the name"),
    ((shape("rectangle", *SQUARE, label=None),), {}, "has label None"),
    ((shape("rectangle", *SQUARE, label="a\x00b"),), {}, "expected the name of a class"),
    ((shape("rectangle", *SQUARE, label="\ud800"),), {}, "expected the name of a class"),
    ((shape(["circle"], *SQUARE),), {}, r"shape_type \['circle'\]"),
    ((shape("blob", *SQUARE),), {}, r"shape 0 \(cat\) has shape_type 'blob', expected one of rect"),
    ((shape("rectangle", (1, 1)),), {}, "a rectangle has 2 or more"),
    ((shape("polygon", *SQUARE),), {}, "a polygon has 3 or more"),
    ((shape("rectangle", (1, 1), (5,)),), {}, r"has the point \[5\], expected"),
    ((shape("rectangle", (1, float("nan")), (5, 5)),), {}, r"has the point \[1, nan\]"),
    ((shape("rectangle", (1, "2"), (5, 5)),), {}, "has the point"),
    ((shape("rectangle", (1, 1e30), (5, 5)),), {}, "has the point"),
    ((shape("rectangle", *SQUARE, group_id=[1]),), {}, r"has group_id \[1\]"),
    ((shape("rectangle", *SQUARE),), {"names": ("cat", "cat")}, "'cat' is twice among the names"),
    ((shape("rectangle", *SQUARE),), {"names": ("dog",)}, "has class 'cat', which is not among"),
]


@pytest.mark.parametrize(("shapes", "more", "message"), BAD)
def test_what_breaks_the_format_is_a_data_error(read, shapes, more, message):
    with pytest.raises(DataError, match=message) as caught:
        read(*shapes, **more)
    assert str(caught.value).count("\n") <= 1


def test_an_absent_picture(read, tmp_path):
    (tmp_path / "set" / "a.png").rename(tmp_path / "set" / "b.png")
    with pytest.raises(DataError, match=r"lacks the pictures of 1 files .*the first is .*a\.json"):
        read(shape("rectangle", *SQUARE))


@pytest.mark.parametrize("part", ["train", "test"])
def test_fruit_as_it_was_drawn_is_read_back(shared_data, tmp_path, part):
    """Rectangles drawn from any corner, as a person does, beside JSON in a folder of its own."""
    images = shared_data / "fruit" / part
    fruit = read_coco(images, shared_data / "fruit" / "annotations" / f"{part}.json")
    for k, sample in enumerate(fruit.samples):
        shapes = []
        for class_id, (left, top, right, bottom) in zip(
            sample.class_ids, sample.boxes_xyxy.tolist(), strict=True
        ):
            corners = [((left, top), (right, bottom)), ((right, top), (left, bottom))][k % 2]
            shapes.append(shape("rectangle", *corners, label=fruit.class_names[class_id]))
        document = {"shapes": shapes, "imagePath": rf"..\old\{sample.path.name}"}
        (tmp_path / f"{sample.path.stem}.json").write_text(json.dumps(document))
    again = read_dataset(None, images, tmp_path, "train", names=fruit.class_names)
    assert_same_boxes(fruit, again, atol_px=0)
