"""globox, an independent program, reads the same from our files, and we read the same from its."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yolo_slim.data.coco import read_coco
from yolo_slim.data.convert import convert
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.voc import read_voc

globox = pytest.importorskip("globox")

Boxes = dict[str, list[tuple[str, float, float, float, float]]]


def of_globox(found: Any) -> Boxes:
    return {
        Path(picture.image_id).stem: sorted((box.label, *box.ltrb) for box in picture.boxes)
        for picture in found
    }


def of_ours(dataset: Dataset) -> Boxes:
    return {
        sample.path.stem: sorted(
            (dataset.class_names[k], *map(float, box))
            for k, box in zip(sample.class_ids, sample.boxes_xyxy, strict=True)
        )
        for sample in dataset.samples
    }


def assert_equal(one: Boxes, other: Boxes, atol_px: float) -> None:
    assert one.keys() == other.keys()
    for stem, boxes in one.items():
        match = other[stem]
        assert [box[0] for box in boxes] == [box[0] for box in match]
        # By class and centre: rounding may swap two of nearly the same left side.
        for a, b in ((boxes, match), (match, boxes)):
            numbers = np.array([box[1:] for box in b]).reshape(-1, 4)
            for label, *box in a:
                same = [k for k, found in enumerate(b) if found[0] == label]
                assert np.abs(numbers[same] - box).max(axis=1).min() <= atol_px


def coco_set(shared_data: Path, name: str) -> tuple[Path, Path]:
    images = shared_data / name
    return images, images.parent / "annotations" / f"{images.name}.json"


@pytest.mark.parametrize("part", ["train", "test"])
def test_voc_as_it_was_published(shared_data, part):
    folder = shared_data / "cbc" / "voc" / part
    ours: Boxes = {
        picture.stem: sorted((box.name, *box.box_xyxy) for box in picture.boxes)
        for picture in read_voc(folder).pictures
    }
    assert ours == of_globox(globox.AnnotationSet.from_pascal_voc(folder))


IN_PIXELS = [
    (name, to)
    for name in ("cbc/test", "fruit/test", "coco/dev_val2017")
    for to in ("voc", "labelme", "coco")
]


# Of YOLO's labels without the COCO sets: crowd boxes are left out there.
@pytest.mark.parametrize(("name", "to"), [*IN_PIXELS, ("cbc/test", "yolo"), ("fruit/test", "yolo")])
def test_what_we_write_is_what_globox_reads(shared_data, tmp_path, name, to):
    given = read_coco(*coco_set(shared_data, name))
    convert({"train": given}, to, tmp_path / "out", "copy" if to == "yolo" else "link")
    out = tmp_path / "out"
    if to == "voc":
        found = globox.AnnotationSet.from_pascal_voc(out / "annotations" / "train")
    elif to == "labelme":
        found = globox.AnnotationSet.from_labelme(out / "images" / "train")
    elif to == "coco":
        found = globox.AnnotationSet.from_coco(out / "annotations" / "train.json")
    else:
        found = globox.AnnotationSet.from_yolo_darknet(
            out / "labels" / "train", image_folder=out / "images" / "train"
        )
        found.map_labels({str(k): name for k, name in enumerate(given.class_names)})
    assert_equal(of_ours(given), of_globox(found), 2e-3)


@pytest.mark.parametrize("name", ["cbc/test", "fruit/test"])
@pytest.mark.parametrize("form", ["voc", "labelme", "yolo"])
def test_what_globox_writes_is_what_we_read(shared_data, tmp_path, name, form):
    images, annotations = coco_set(shared_data, name)
    theirs = globox.AnnotationSet.from_coco(annotations)
    names = read_coco(images, annotations).class_names
    if form == "voc":
        theirs.save_pascal_voc(tmp_path)
    elif form == "labelme":
        theirs.save_labelme(tmp_path)
    else:
        numbers = {name: k for k, name in enumerate(names)}
        theirs.save_yolo_darknet(tmp_path, label_to_id=numbers)
    ours = read_dataset(None, images, tmp_path, "train", names=names)
    assert_equal(of_globox(theirs), of_ours(ours), 1e-3)
