"""Annotations of a folder of pictures, whatever their form, which is told by what lies there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from yolo_slim.data.coco import read_coco
from yolo_slim.data.dataset import Dataset, is_file, is_folder
from yolo_slim.data.label_folder import read_label_folder
from yolo_slim.data.labelme import read_labelme
from yolo_slim.data.named import NamedSet, class_order, number
from yolo_slim.data.pictures import Progress
from yolo_slim.data.voc import read_voc
from yolo_slim.errors import DataError
from yolo_slim.found_files import files_below

Form = Literal["coco", "voc", "labelme", "yolo"]

_EXPECTED = "a COCO .json, or a folder of VOC .xml, labelme .json or YOLO .txt files"


def form_of(annotations: Path) -> Form:
    """What kind of annotations lie there.

    A `.json` file is COCO, a `.txt` file is an image set of a VOC devkit. In a folder the
    extension of the files tells; `.txt` counts where there is no other, because notes and lists of
    classes often lie beside.

    Raises DataError where nothing of the kind is there, or two kinds are mixed.
    """
    if is_file(annotations):
        if annotations.suffix.lower() == ".txt":
            return "voc"
        if annotations.suffix.lower() in (".xml", ".yaml", ".yml", ".data"):
            hint = (
                "Name the folder of all of them"
                if annotations.suffix.lower() == ".xml"
                else "Name it by --data"
            )
            raise DataError(f"{annotations}: expected {_EXPECTED}. {hint}.")
        return "coco"
    if not is_folder(annotations):
        raise DataError(f"{annotations} cannot be read: No such file or directory.")
    suffixes = Counter(path.suffix.lower() for path in files_below(annotations))
    n_xml, n_json = suffixes[".xml"], suffixes[".json"]
    if n_xml and n_json:
        raise DataError(
            f"{annotations} holds {n_xml} .xml and {n_json} .json files: expected one kind. Move "
            "the others elsewhere."
        )
    if n_xml:
        return "voc"
    if n_json:
        return "labelme"
    if suffixes[".txt"]:
        return "yolo"
    raise DataError(f"{annotations} holds no annotations: expected {_EXPECTED}.")


def read_annotations(
    form: Form,
    images: Path,
    annotations: Path,
    names: Sequence[str] | None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set of pictures in the folder `images` and annotations of a known form.

    names: of the classes; None for those that the annotations have: COCO's by category id, VOC's
        and labelme's in sorted order, YOLO's from classes.txt. COCO's are never replaced here.
    progress: called with (files done, files in all).

    Raises DataError where something is missing or breaks the format.
    """
    if form == "coco":
        return read_coco(images, annotations)
    if form == "yolo":
        return read_label_folder(images, annotations, names, progress)
    found = read_named(form, annotations, progress)
    if names is not None:
        return number(images, found, names)
    order, notes = class_order(found.names)
    dataset = number(images, found, order)
    return replace(dataset, notes=(*notes, *dataset.notes))


def read_named(form: Form, annotations: Path, progress: Progress | None = None) -> NamedSet:
    """What a folder of VOC or labelme files says, before classes have numbers."""
    read = read_voc if form == "voc" else read_labelme
    return read(annotations, progress)
