"""Darknet's own description of a data set: a .data file, lists of pictures, one .txt a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from yolo_slim.data.dataset import Dataset, Sample, flat_box_notes, is_file, sample_of
from yolo_slim.data.image import read_size
from yolo_slim.errors import DataError

_BLANKS = str.maketrans("", "", " \t\r\n")
# Labels written with few digits reach a little over the border.
_SLACK = 0.01


def read_darknet(data_file: Path, split: Literal["train", "valid"]) -> Dataset:
    """The pictures that a Darknet `.data` file lists under `split`, with their labels.

    Keys used: `train` or `valid` (a text file with one picture a line), `names`, and `classes` if
    given. A relative path starts, as in Darknet, at the working directory; where nothing is there,
    at the folder of the file that names it. Labels stand where `label_path` says; a picture without
    a label file has no box. Pictures are numbered from 1 in the order of the list, categories too.

    Raises DataError naming file and line where something is missing or breaks the format.
    """
    options = read_options(data_file)
    for key in (split, "names"):
        if key not in options:
            raise DataError(
                f"{data_file} has no `{key}=`. Found: {', '.join(options) or 'nothing'}."
            )
    names = _read_names(_resolve(options["names"], data_file))
    if "classes" in options and options["classes"] != str(len(names)):
        raise DataError(
            f"{data_file} says classes={options['classes']}, {options['names']} has {len(names)} "
            "names. Make them agree."
        )
    list_file = _resolve(options[split], data_file)
    samples: list[Sample] = []
    labels: list[Path] = []
    n_flat = 0
    for number, line in enumerate(_read_lines(list_file), 1):
        if not line.strip():
            continue
        path = _resolve(line.strip(), list_file)
        if not is_file(path):
            raise DataError(f"{list_file}:{number} names {line.strip()}, which is not there.")
        labels.append(label_path(path))
        sample, flat = _read_sample(path, labels[-1], len(samples) + 1, len(names))
        samples.append(sample)
        n_flat += flat
    if samples and not any(is_file(label) for label in labels):
        raise DataError(
            f"{list_file}: none of {len(samples)} pictures has a label file; the first was looked "
            f"for at {labels[0]}."
        )
    ids = tuple(range(1, len(names) + 1))
    return Dataset(str(list_file), tuple(samples), names, ids, flat_box_notes(n_flat))


def read_options(data_file: Path) -> dict[str, str]:
    """The `key=value` lines of a `.data` file, as Darknet reads them.

    All blanks inside a line are dropped, a line that begins with # or ; is a comment, and of two
    lines with one key the first counts. Raises DataError for a line without `=`.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(_read_lines(data_file), 1):
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
    Darknet have it.

    >>> label_path(Path("/d/images/train/a.jpg")).as_posix()
    '/d/labels/train/a.txt'
    """
    # A relative path may begin with the folder, so a slash is lent to it.
    lent = "" if image.is_absolute() else "/"
    text = lent + image.as_posix()
    for folder in ("/images/", "/JPEGImages/"):
        text = text.replace(folder, "/labels/", 1)
    by_rule = Path(text.removeprefix(lent)).with_suffix(".txt")
    beside = image.with_suffix(".txt")
    return beside if is_file(beside) and not is_file(by_rule) else by_rule


def _read_sample(path: Path, label: Path, image_id: int, n_classes: int) -> tuple[Sample, int]:
    width_px, height_px = read_size(path)
    rows = []
    lines = _read_lines(label) if is_file(label) else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        class_id, cx, cy, w, h = _parse_row(line, f"{label}:{number}", n_classes)
        left, right = (cx - w / 2) * width_px, (cx + w / 2) * width_px
        top, bottom = (cy - h / 2) * height_px, (cy + h / 2) * height_px
        rows.append((left, top, right, bottom, class_id, False, None))
    return sample_of(path, image_id, (width_px, height_px), rows)


def _parse_row(line: str, where: str, n_classes: int) -> tuple[int, float, float, float, float]:
    words = line.split()
    try:
        class_id = int(words[0])
        cx, cy, w, h = (float(word) for word in words[1:])
    except ValueError as error:
        raise DataError(f"{where} reads `{line.strip()}`, expected `class cx cy w h`.") from error
    if not 0 <= class_id < n_classes:
        raise DataError(f"{where} has class {class_id}, expected 0 to {n_classes - 1}.")
    for value in (cx, cy, w, h):
        if not (math.isfinite(value) and -_SLACK <= value <= 1 + _SLACK):
            raise DataError(
                f"{where} has {value:g}, expected parts of width and height, 0 to 1 (not pixels)."
            )
    return class_id, cx, cy, w, h


def _read_names(path: Path) -> tuple[str, ...]:
    names = tuple(line.strip() for line in _read_lines(path) if line.strip())
    if not names:
        raise DataError(f"{path} holds no class name, expected one a line.")
    return names


def _resolve(text: str, named_by: Path) -> Path:
    path = Path(text)
    return path if path.is_absolute() or is_file(path) else named_by.parent / path


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}).") from error
