"""Pascal VOC: an XML file a picture, in a folder or in the layout of the VOC devkit."""

from __future__ import annotations

import math
from pathlib import Path

from yolo_slim.data.dataset import is_file
from yolo_slim.data.named import NamedBox, NamedPicture, NamedSet, tidy
from yolo_slim.data.pictures import Progress, find_files, read_lines, stem_below, tracked
from yolo_slim.data.plain_number import plain_float
from yolo_slim.data.xml_tree import Element, read_xml
from yolo_slim.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_HAPPENED = {"1": True, "true": True, "0": False, "false": False, "": False}


def read_voc(annotations: Path, progress: Progress | None = None) -> NamedSet:
    """What VOC annotations say: every `.xml` below a folder, or those that an image set lists.

    annotations: a folder, or the devkit's `ImageSets/Main/train.txt`: one id a line, whose XML is
        `Annotations/ID.xml` beside `ImageSets`.
    progress: called with (files done, files in all).

    A box is [xmin, ymin, xmax, ymax] as edges in pixels of the stored picture; nothing is added or
    taken off. The devkit counts pixels from 1 and means the last one to be inside, most makers of
    such files do not: read as edges, a box of the devkit lies half a pixel off, and the files of
    all others are exact. A `difficult` object is a crowd box: neither target nor miss, as in VOC's
    own metric. Boxes may reach over the border. `part`, `pose`, `truncated` are not read.

    Raises DataError with file and line for what breaks the format.
    """
    files = _listed(annotations) if is_file(annotations) else _below(annotations)
    pictures = [_read_picture(file, stem) for file, stem in tracked(files, progress)]
    return NamedSet(annotations, tuple(pictures))


def _below(folder: Path) -> list[tuple[Path, str]]:
    files = find_files(folder, ".xml")
    if not files:
        raise DataError(f"{folder} holds no .xml file, expected one a picture.")
    return [(file, stem_below(file, folder)) for file in files]


def _listed(image_set: Path) -> list[tuple[Path, str]]:
    main = image_set.absolute().parent
    folder = main.parent.parent / "Annotations"
    if main.parent.name != "ImageSets" or not folder.is_dir():
        raise DataError(
            f"{image_set} is no image set of a VOC devkit: expected DIR/ImageSets/Main/NAME.txt "
            "beside DIR/Annotations."
        )
    files: dict[str, Path] = {}
    for number, line in enumerate(read_lines(image_set), 1):
        stem = line.strip()
        if not stem:
            continue
        where = f"{image_set}:{number}"
        file = folder / f"{stem}.xml"
        if not is_file(file):
            hint = (
                " Is it the list of one class? Take the one of all classes."
                if len(stem.split()) == 2
                else ""
            )
            raise DataError(f"{where} names `{stem}`, but {file} is not there.{hint}")
        if stem in files:
            raise DataError(f"{where} names `{stem}` a second time. Remove one of the lines.")
        files[stem] = file
    if not files:
        raise DataError(f"{image_set} is empty, expected one id a line.")
    return [(file, stem) for stem, file in files.items()]


def _read_picture(file: Path, stem: str) -> NamedPicture:
    root = read_xml(file)
    if root.tag != "annotation":
        raise DataError(
            f"{file}:{root.line} opens with <{root.tag}>, expected <annotation> as in Pascal VOC."
        )
    boxes = tuple(_read_object(found, file) for found in root.all("object"))
    return NamedPicture(file, stem, root.text_of("filename"), _size(root), boxes)


def _read_object(found: Element, file: Path) -> NamedBox:
    where = f"{file}:{found.line}"
    name = tidy(found.text_of("name") or "")
    if not name:
        raise DataError(f"{where} has an <object> without a <name>.")
    bndbox = found.child("bndbox")
    if bndbox is None:
        raise DataError(f"{where} has an <object> without a <bndbox>: {name}.")
    left, top, right, bottom = (_number(bndbox, tag, file) for tag in _CORNERS)
    difficult = (found.text_of("difficult") or "").lower()
    if difficult not in _HAPPENED:
        raise DataError(f"{where} has <difficult>{difficult}</difficult>, expected 0 or 1.")
    return NamedBox(name, (left, top, right, bottom), _HAPPENED[difficult], where)


def _number(bndbox: Element, tag: str, file: Path) -> float:
    text = bndbox.text_of(tag)
    if text is None:
        raise DataError(f"{file}:{bndbox.line} has a <bndbox> without <{tag}>.")
    try:
        value = plain_float(text)
    except ValueError:
        value = math.nan
    # The bound keeps float32 finite, in which boxes are kept; NaN fails it, too.
    if not abs(value) < 1e9:
        child = bndbox.child(tag)
        line = bndbox.line if child is None else child.line
        raise DataError(f"{file}:{line} has <{tag}>{text}</{tag}>, expected a number of pixels.")
    return value


def _size(root: Element) -> tuple[int, int] | None:
    """(width, height) where the file gives both; many makers leave <size> out or write zeros."""
    size = root.child("size")
    texts = [size.text_of(tag) if size else None for tag in ("width", "height")]
    try:
        width, height = (plain_float(text or "") for text in texts)
    except ValueError:
        return None
    if not (width.is_integer() and height.is_integer() and min(width, height) >= 1):
        return None
    return int(width), int(height)
