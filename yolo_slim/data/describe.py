"""What a person may name as DATA: a .yaml description, a Darknet .data file, or folder and JSON."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import yaml

from yolo_slim.data.coco import read_coco
from yolo_slim.data.darknet import read_darknet
from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import DataError

Split = Literal["train", "val"]

_EXAMPLE = "`train: {images: FOLDER, annotations: FILE}`"


def read_dataset(
    data: Path | None, images: Path | None, annotations: Path | None, split: str
) -> Dataset:
    """The data set that the options --data, --images and --annotations name together.

    data: a `.yaml` description or a Darknet `.data` file, of which `split` ('train' or 'val') is
        read; or None, and then `images` is a folder and `annotations` its COCO file.

    A description holds, for each split, `images` and `annotations`, and optionally `names`, one for
    each category in ascending order of category id, to replace those in the annotations:

        train: {images: images/train, annotations: annotations/train.json}
        val:   {images: images/val,   annotations: annotations/val.json}
        names: [apple, banana, orange]

    Paths start at the folder of the description; `~` and `$NAME` are expanded.

    Raises DataError where what is named cannot be used, ValueError for another split.
    """
    if split not in ("train", "val"):
        raise ValueError(f"split {split!r}, expected 'train' or 'val'")
    if data is not None and (images is not None or annotations is not None):
        raise DataError(
            "Both --data and --images/--annotations are given: expected one of the two."
        )
    if data is not None:
        return _read_described(data, split)
    if images is None or annotations is None:
        found = "neither" if images is None and annotations is None else "one"
        raise DataError(
            f"Of --images and --annotations {found} is given. Expected both, or --data FILE."
        )
    return read_coco(images, annotations)


def _read_described(data: Path, split: str) -> Dataset:
    if data.suffix == ".data":
        return read_darknet(data, "train" if split == "train" else "valid")
    if data.suffix not in (".yaml", ".yml"):
        raise DataError(
            f"{data} is neither a .yaml description nor a Darknet .data file. For COCO files pass "
            "--images FOLDER --annotations FILE."
        )
    document = _read_yaml(data)
    _check_keys(document, ("train", "val", "names"), str(data))
    if split not in document:
        raise DataError(
            f"{data} has no `{split}`. Expected e.g. {_EXAMPLE.replace('train', split)}."
        )
    part = document[split]
    where = f"{data}: `{split}`"
    if not isinstance(part, dict):
        raise DataError(f"{where} is {part!r}, expected images and annotations as in {_EXAMPLE}.")
    _check_keys(part, ("images", "annotations"), where)
    images, annotations = (
        _path(part.get(key), data.parent, f"{where}: `{key}`") for key in ("images", "annotations")
    )
    dataset = read_coco(images, annotations)
    names = document.get("names")
    return dataset if names is None else _renamed(dataset, names, data)


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{line} is not YAML. Expected e.g. {_EXAMPLE}.") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} has no keys. Expected e.g. {_EXAMPLE}.")
    return document


def _check_keys(found: Iterable[Any], expected: tuple[str, ...], where: str) -> None:
    for key in found:
        if key not in expected:
            close = difflib.get_close_matches(str(key), expected, n=1, cutoff=0.5)
            hint = f"Did you mean `{close[0]}`?" if close else f"Expected {', '.join(expected)}."
            raise DataError(f"{where} has an unknown key `{key}`. {hint}")


def _path(value: Any, base: Path, where: str) -> Path:
    if not isinstance(value, str) or not value:
        raise DataError(f"{where} is {value!r}, expected a path.")
    expanded = os.path.expandvars(value)
    try:
        return base / Path(expanded).expanduser()
    except RuntimeError as error:
        raise DataError(f"{where} is {value}: there is no such home folder.") from error


def _renamed(dataset: Dataset, names: Any, data: Path) -> Dataset:
    if not isinstance(names, list):
        raise DataError(f"{data}: `names` is {names!r}, expected a list as in [cat, dog].")
    if len(names) != len(dataset.class_names):
        raise DataError(
            f"{data} has {len(names)} names, {dataset.source} has {len(dataset.class_names)} "
            "categories. Give one name for each category, or no names."
        )
    return replace(dataset, class_names=tuple(str(name) for name in names))
