"""The scan goes on after a fault, and has one exactly where the strict reader refuses."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolo_slim.data.check.coco_scan import scan_coco
from yolo_slim.data.check.run import check_splits
from yolo_slim.data.coco import read_coco
from yolo_slim.errors import DataError


def _is_refused(images, annotations) -> bool:
    try:
        read_coco(images, annotations)
    except DataError:
        return True
    return False


def _is_faulty(images, annotations) -> bool:
    outcome = check_splits((scan_coco(images, annotations, "train"),))
    # Of these the strict reader knows nothing: it opens no picture.
    others = {"unreadable image", "other size", "box outside"}
    return any(f.severity == "fault" and f.kind not in others for f in outcome.findings)


def test_a_sound_file_has_every_box_and_no_finding(document, write_set):
    split = scan_coco(*write_set(document), "train")
    assert split.findings == ()
    assert split.class_names == ("fig", "pear") and split.category_ids == (3, 7)
    first, second = split.images
    assert [box.box_xyxy for box in first.boxes] == [(1, 2, 11, 22), (3.25, 4, 8.25, 10)]
    assert [box.class_id for box in first.boxes] == [1, 0]
    assert [box.crowd for box in first.boxes] == [False, True]
    assert second.boxes == ()


def test_flat_boxes_are_kept_for_the_checks(document, write_set):
    document["annotations"][0]["bbox"] = [1, 1, 0, -5]
    split = scan_coco(*write_set(document), "train")
    assert [box.is_flat for box in split.images[0].boxes] == [True, False]


def test_every_fault_is_named_with_its_place(document, write_set):
    document["images"] += [{"id": 5, "file_name": "x.png"}, {"id": 8}, 3]
    document["categories"].append({"name": "no id"})
    document["annotations"] += [
        7,
        {"image_id": 99, "category_id": 3, "bbox": [1, 1, 2, 2]},
        {"image_id": 5, "category_id": 1, "bbox": [1, 1, 2, 2]},
        {"image_id": 5, "category_id": 3, "bbox": [1, 1, float("nan"), 2]},
        {"image_id": 5, "category_id": 3, "bbox": [1, 1, 2, 2], "area": float("inf")},
        {"image_id": 5, "category_id": 3, "bbox": [1, 1, 2, 2], "iscrowd": "0"},
    ]
    split = scan_coco(*write_set(document), "val")
    told = [(f.kind, f.file, f.annotation, f.found) for f in split.findings]
    assert [row[:3] for row in told] == [
        ("bad category", None, None),
        ("bad image entry", None, None),
        ("bad image entry", None, None),
        ("bad annotation", None, 2),
        ("bad annotation", None, 3),
        ("bad annotation", "a.png", 4),
        ("bad annotation", "a.png", 5),
        ("bad annotation", "a.png", 6),
        ("bad annotation", "a.png", 7),
        ("bad image entry", None, None),
    ]
    assert "image_id 99" in told[4][3] and "category_id 1" in told[5][3] and "nan" in told[6][3]
    assert told[8][3] == "iscrowd '0', expected 0, 1, true or false"
    assert {f.split for f in split.findings} == {"val"}
    assert [image.name for image in split.images] == ["a.png", "b.png"]


def test_names_replace_those_of_the_file_if_they_fit(document, write_set):
    place = write_set(document)
    assert scan_coco(*place, "train", ["A", 1]).class_names == ("A", "1")
    misfit = scan_coco(*place, "train", ["A"])
    assert [f.kind for f in misfit.findings] == ["names do not fit"]
    assert misfit.class_names == ("fig", "pear")


@pytest.mark.parametrize(
    "text", ['{"images": [', "[]", "{}", '{"images": [], "annotations": [], "categories": []}']
)
def test_what_cannot_be_scanned_is_refused_in_the_words_of_the_reader(text, write_set):
    images, annotations = write_set(text)
    with pytest.raises(DataError) as strict:
        read_coco(images, annotations)
    with pytest.raises(DataError) as told:
        scan_coco(images, annotations, "train")
    assert str(told.value) == str(strict.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.floats(),
    st.sampled_from(["a.png", "", "none.png", [1, 2, 3], [1, 2, 3, 4], [1, 2, -3, 4], {}, 1e39]),
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["images", "annotations", "categories"]),
        st.integers(0, 1),
        st.sampled_from(
            [*"id file_name width height image_id category_id bbox area iscrowd".split(), ""]
        ),
        VALUES,
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=CHANGES)
def test_a_fault_is_found_exactly_where_the_reader_refuses(changes, document, write_set):
    changed = json.loads(json.dumps(document))
    for part, index, key, value in changes:
        entry = changed[part][index]
        if key and isinstance(entry, dict):
            entry[key] = copy.deepcopy(value)
        else:
            changed[part][index] = copy.deepcopy(value)
    place = write_set(changed)
    assert _is_faulty(*place) == _is_refused(*place)
