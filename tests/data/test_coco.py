"""COCO files are read whole or refused with one clear message."""

from __future__ import annotations

import json

import numpy as np
import pytest

from yolo_slim.data.coco import read_coco, write_coco
from yolo_slim.data.image import read_image
from yolo_slim.errors import DataError


def test_boxes_classes_crowd_and_area(document, write_set):
    dataset = read_coco(*write_set(document))
    assert dataset.class_names == ("fig", "pear")
    assert dataset.category_ids == (3, 7)
    first, second = dataset.samples
    assert (first.image_id, first.width_px, first.height_px) == (5, 40, 30)
    np.testing.assert_array_equal(first.boxes_xyxy, [[1, 2, 11, 22], [3.25, 4, 8.25, 10]])
    np.testing.assert_array_equal(first.class_ids, [1, 0])
    np.testing.assert_array_equal(first.crowd, [False, True])
    np.testing.assert_array_equal(first.areas, [150, 30])
    assert first.boxes_xyxy.dtype == np.float32 and first.class_ids.dtype == np.int64
    assert second.boxes_xyxy.shape == (0, 4)


def test_size_comes_from_the_header_where_the_file_says_none(document, write_set):
    for image in document["images"]:
        del image["width"], image["height"]
    sample = read_coco(*write_set(document)).samples[0]
    assert (sample.width_px, sample.height_px) == (40, 30)


def test_flat_boxes_are_left_out_and_counted(document, write_set):
    document["annotations"] += [
        {"id": 1, "image_id": 2, "category_id": 3, "bbox": bbox}
        for bbox in ([1, 1, 0, 5], [1, 1, 5, -2], [1, 1, 5, 2])
    ]
    dataset = read_coco(*write_set(document))
    assert len(dataset.samples[1]) == 1
    assert dataset.notes == ("2 boxes without width or height were left out",)


def test_written_set_reads_back_equal(document, write_set, tmp_path):
    images, annotations = write_set(document)
    dataset = read_coco(images, annotations)
    write_coco(dataset, tmp_path / "deep" / "copy.json")
    again = read_coco(images, tmp_path / "deep" / "copy.json")
    assert again.class_names == dataset.class_names and again.category_ids == dataset.category_ids
    for one, other in zip(dataset.samples, again.samples, strict=True):
        assert (one.path, one.image_id) == (other.path, other.image_id)
        for name in ("boxes_xyxy", "class_ids", "crowd", "areas"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def _with(**changes):
    def change(document):
        document["annotations"][1].update(changes)
        return document

    return change


def _without(key):
    return lambda document: {k: v for k, v in document.items() if k != key}


def _image(**changes):
    def change(document):
        document["images"][1].update(changes)
        return document

    return change


BAD = [
    (lambda d: '{"images": [', "is not JSON"),
    (lambda d: [1, 2], "holds a list, expected an object"),
    (_without("annotations"), "`annotations` is missing, expected a list"),
    (_without("categories"), "`categories` is missing"),
    (lambda d: {**d, "images": {}}, "`images` is an object, expected a list"),
    (lambda d: {**d, "images": [], "annotations": []}, "has 0 images"),
    (lambda d: {**d, "annotations": [3]}, "annotation 0 is a number"),
    (_with(image_id=77), r"annotation 1 \(id 8\) has image_id 77"),
    (_with(image_id=[5]), r"has image_id \[5\]"),
    (_with(category_id=1), "has category_id 1, which is no category"),
    (_with(bbox=[1, 2, float("nan"), 4]), r"bbox \[1, 2, nan, 4\], expected"),
    (_with(bbox=[1, 2, 3, 1e39]), "finite numbers"),
    (_with(bbox=[1, 2, 3]), r"bbox \[1, 2, 3\]"),
    (_with(bbox="1 2 3 4"), "bbox '1 2 3 4'"),
    (_with(area=float("inf")), "area inf"),
    (_with(iscrowd="0"), r"annotation 1 \(id 8\) has iscrowd '0', expected 0, 1, true or false"),
    (_with(iscrowd=[0]), r"iscrowd \[0\]"),
    (_image(id=5), "image 1 has id 5, as an earlier one"),
    (_image(id="x"), "image 1 has id 'x'"),
    (_image(width=0), r"width, height \(0, 30\)"),
    (_image(file_name=None), "image 2 has file_name None"),
    (_image(file_name="c.png"), r"lacks 1 of the pictures .* the first is c\.png"),
    (_image(file_name="c" * 400), "lacks 1 of the pictures"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_unusable_annotations_are_a_data_error(change, message, document, write_set):
    images, annotations = write_set(change(document))
    with pytest.raises(DataError, match=message) as caught:
        read_coco(images, annotations)
    assert str(caught.value).count("\n") <= 1


@pytest.mark.parametrize(("mark", "crowd"), [(0, 0), (1, 1), (False, 0), (True, 1), (None, 0)])
def test_a_crowd_is_a_number_or_a_truth(mark, crowd, document, write_set):
    document["annotations"][1]["iscrowd"] = mark
    sample = read_coco(*write_set(document)).samples[0]
    assert sample.crowd.tolist() == [False, bool(crowd)]


def test_missing_folder_and_file(document, write_set, tmp_path):
    images, annotations = write_set(document)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read_coco(tmp_path / "nowhere", annotations)
    with pytest.raises(DataError, match=r"none\.json cannot be read: No such file"):
        read_coco(images, tmp_path / "none.json")


def test_pictures_of_one_name_cannot_be_written(document, write_set, tmp_path):
    images, annotations = write_set(document)
    (images / "sub").mkdir()
    (images / "a.png").rename(images / "sub" / "b.png")
    document["images"][0]["file_name"] = "sub/b.png"
    annotations.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"two pictures called b\.png"):
        write_coco(read_coco(images, annotations), tmp_path / "out.json")


REAL = [
    ("coco/dev_train2017", "coco/annotations/dev_train2017", 128, 939, 10, 80, 71),
    ("coco/dev_val2017", "coco/annotations/dev_val2017", 128, 903, 5, 80, 73),
    ("cbc/train", "cbc/annotations/train", 300, 3951, 0, 3, 3),
    ("cbc/test", "cbc/annotations/test", 60, 907, 0, 3, 3),
    ("fruit/train", "fruit/annotations/train", 240, 465, 0, 3, 3),
    ("fruit/test", "fruit/annotations/test", 60, 117, 0, 3, 3),
]


@pytest.mark.parametrize(("images", "annotations", "n", "boxes", "crowd", "classes", "used"), REAL)
def test_real_sets_have_the_published_counts(
    shared_data, images, annotations, n, boxes, crowd, classes, used
):
    dataset = read_coco(shared_data / images, shared_data / f"{annotations}.json")
    assert len(dataset) == n
    assert sum(len(sample) for sample in dataset.samples) == boxes
    assert sum(int(sample.crowd.sum()) for sample in dataset.samples) == crowd
    assert len(dataset.class_names) == classes
    assert len(np.unique(np.concatenate([s.class_ids for s in dataset.samples]))) == used
    assert dataset.notes == ()


def test_cells_by_class(shared_data):
    dataset = read_coco(shared_data / "cbc/test", shared_data / "cbc/annotations/test.json")
    counts = np.bincount(np.concatenate([s.class_ids for s in dataset.samples]))
    assert dict(zip(dataset.class_names, counts.tolist(), strict=True)) == {
        "RBC": 791,
        "WBC": 61,
        "Platelets": 55,
    }


def test_dirty_pictures_have_the_size_their_annotations_say(shared_data):
    dataset = read_coco(shared_data / "fruit/test", shared_data / "fruit/annotations/test.json")
    for sample in dataset.samples[::2]:
        assert read_image(sample.path).shape == (sample.height_px, sample.width_px, 3)


def test_categories_of_one_name_are_told(document, write_set):
    document["categories"].append({"id": 9, "name": "Fig"})
    dataset = read_coco(*write_set(document))
    assert dataset.class_names == ("fig", "pear", "Fig")
    assert dataset.notes == (
        "2 categories share names (fig, Fig): where classes are compared by name they are one",
    )
