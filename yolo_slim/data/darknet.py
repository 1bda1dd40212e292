"""Darknet's own description of a data set: a .data file, lists of pictures, one .txt a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yolo_slim.data import ultralytics
from yolo_slim.data.dataset import Dataset, is_file
from yolo_slim.data.pictures import Progress, read_lines, read_names
from yolo_slim.data.yolo_labels import LabelReader
from yolo_slim.errors import DataError

_BLANKS = str.maketrans("", "", " \t\r\n")


def read_darknet(
    data_file: Path, split: Literal["train", "valid"], progress: Progress | None = None
) -> Dataset:
    """The pictures that a Darknet `.data` file lists under `split`, with their labels.

    Keys used: `train` or `valid` (a text file with one picture a line), `names`, and `classes` if
    given. A relative path starts, as in Darknet, at the working directory; where nothing is there,
    at the folder of the file that names it. Labels stand where `label_path` says; a picture without
    a label file has no box. Pictures are numbered from 1 in the order of the list, categories too.

    progress: called with (pictures done, pictures in all).

    Raises DataError naming file and line where something is missing or breaks the format.
    """
    options = read_options(data_file)
    for key in (split, "names"):
        if key not in options:
            raise DataError(
                f"{data_file} has no `{key}=`. Found: {', '.join(options) or 'nothing'}."
            )
    names = read_names(_resolve(options["names"], data_file))
    if "classes" in options and options["classes"] != str(len(names)):
        raise DataError(
            f"{data_file} says classes={options['classes']}, {options['names']} has {len(names)} "
            "names. Make them agree."
        )
    list_file = _resolve(options[split], data_file)
    pairs = []
    for number, line in enumerate(read_lines(list_file), 1):
        if not line.strip():
            continue
        path = _resolve(line.strip(), list_file)
        if not is_file(path):
            raise DataError(f"{list_file}:{number} names {line.strip()}, which is not there.")
        pairs.append((path, label_path(path)))
    return LabelReader(len(names)).dataset(str(list_file), pairs, names, progress)


def read_options(data_file: Path) -> dict[str, str]:
    """The `key=value` lines of a `.data` file, as Darknet reads them.

    All blanks inside a line are dropped, a line that begins with # or ; is a comment, and of two
    lines with one key the first counts. Raises DataError for a line without `=`.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(read_lines(data_file), 1):
        bare = line.translate(_BLANKS)
        if not bare or bare[0] in "#;":
            continue
        key, equals, value = bare.partition("=")
        if not equals:
            raise DataError(f"{data_file}:{number} reads `{bare}`, expected `key=value`.")
        options.setdefault(key, value)
    return options


def label_path(image: Path) -> Path:
    """Where the labels of a picture are looked for.

    Darknet's rule: `/images/` and `/JPEGImages/` in the path become `/labels/`, the extension
    becomes `.txt`. Where that file is missing, the `.txt` beside the picture, as many sets made for
    Darknet have it, or where only the last `images` of the path becomes `labels`.

    >>> label_path(Path("/d/images/train/a.jpg")).as_posix()
    '/d/labels/train/a.txt'
    """
    # A relative path may begin with the folder, so a slash is lent to it.
    lent = "" if image.is_absolute() else "/"
    text = lent + image.as_posix()
    for folder in ("/images/", "/JPEGImages/"):
        text = text.replace(folder, "/labels/", 1)
    by_rule = Path(text.removeprefix(lent)).with_suffix(".txt")
    others = (image.with_suffix(".txt"), ultralytics.label_path(image))
    return next((p for p in (by_rule, *others) if is_file(p)), by_rule)


def _resolve(text: str, named_by: Path) -> Path:
    path = Path(text)
    return path if path.is_absolute() or is_file(path) else named_by.parent / path
