"""The data.yaml of the Ultralytics world: folders or lists of pictures, and YOLO's text labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolo_slim.data.dataset import Dataset, is_file, is_folder
from yolo_slim.data.pictures import Progress, find_pictures, read_lines
from yolo_slim.data.yaml_file import names_of, near, path_of, shown
from yolo_slim.data.yolo_labels import LabelReader, RowForm
from yolo_slim.errors import DataError

SPLITS = ("train", "val", "test")
_READ = ("path", *SPLITS, "names", "nc", "kpt_shape")


def read_ultralytics(
    data: Path, document: dict[Any, Any], split: str, progress: Progress | None = None
) -> Dataset:
    """The pictures of one split of a data.yaml, with their labels.

    document: the keys of the file `data`. Used are

        path: DIR           where the other paths start; without it the folder of the file
        train, val, test    a folder of pictures, a .txt with one picture a line, or a list of these
        names               a list, or a mapping from 0, 1, 2, ...
        nc                  must be the number of names; without names they are class_0, class_1, ..
        kpt_shape           [K, 2 or 3]: rows may end in so many keypoints, which are left out

    Every other key is passed over, `download` is never run; notes say so. The labels of a picture
    are found by `label_path`; a picture without a label file has no box. A row is `class cx cy w h`
    or a polygon `class x1 y1 x2 y2 x3 y3 ...`, which becomes the box around it.
    progress: called with (pictures done, pictures in all).

    Raises DataError naming file and line where something is missing or breaks the format.
    """
    if split not in document:
        raise DataError(f"{data} has no `{split}`. Expected e.g. `{split}: images/{split}`.")
    notes = _notes(document, data)
    names, told = _names(document, data)
    base = _base(document, data)
    value = document[split]
    places = value if isinstance(value, list) else [value]
    pictures = [
        picture for place in places for picture in _pictures(place, base, f"{data}: `{split}`")
    ]
    seen: set[Path] = set()
    for picture in pictures:
        if picture in seen:
            raise DataError(f"{data}: `{split}` names {picture} twice. Remove one of them.")
        seen.add(picture)
    pairs = [(picture, label_path(picture)) for picture in pictures]
    n_bare = sum(not is_file(label) for _, label in pairs)
    if 0 < n_bare < len(pairs):
        told.append(f"{n_bare} pictures have no label file: they count as pictures without objects")
    form = RowForm(polygons=True, n_keypoint_values=_keypoint_values(document, data))
    source = f"{data} ({split})"
    return LabelReader(len(names), form).dataset(source, pairs, names, progress, [*notes, *told])


def folders_searched(data: Path, document: dict[Any, Any]) -> tuple[Path, ...]:
    """The folders among the splits of a data.yaml: every picture below them is taken."""
    base = _base(document, data)
    places = [
        _place(place, base, f"{data}: `{split}`")
        for split in SPLITS
        if (value := document.get(split)) is not None
        for place in (value if isinstance(value, list) else [value])
    ]
    return tuple(place for place in places if is_folder(place))


def label_path(image: Path) -> Path:
    """Where the labels of a picture are looked for.

    The last `images` among its folders becomes `labels`, the extension `.txt`. Where that file is
    missing, the `.txt` beside the picture.

    >>> label_path(Path("/images/a/images/train/b.jpg")).as_posix()
    '/images/a/labels/train/b.txt'
    """
    folders = list(image.parts[:-1])
    for index in reversed(range(len(folders))):
        if folders[index] == "images":
            folders[index] = "labels"
            break
    by_rule = Path(*folders, image.name).with_suffix(".txt")
    beside = image.with_suffix(".txt")
    return beside if is_file(beside) and not is_file(by_rule) else by_rule


def _notes(document: dict[Any, Any], data: Path) -> list[str]:
    ignored = []
    for key in document:
        if key in _READ:
            continue
        if (close := near(key, _READ, cutoff=0.75)) and close not in document:
            raise DataError(f"{data} has an unknown key `{key}`. Did you mean `{close}`?")
        ignored.append(str(key))
    notes = []
    if "download" in ignored:
        ignored.remove("download")
        notes.append("`download` was not run: fetch the pictures yourself where they are missing")
    if ignored:
        notes.append(f"not used: {', '.join(ignored)}")
    return notes


def _names(document: dict[Any, Any], data: Path) -> tuple[tuple[str, ...], list[str]]:
    n_classes = document.get("nc")
    if n_classes is not None and not (type(n_classes) is int and 1 <= n_classes <= 100_000):
        raise DataError(f"{data}: `nc` is {shown(n_classes)}, expected the number of classes.")
    if document.get("names") is None:
        if n_classes is None:
            raise DataError(
                f"{data} has neither `names` nor `nc`: expected names as in [cat, dog], or for "
                "each split images and annotations."
            )
        names = tuple(f"class_{k}" for k in range(n_classes))
        return names, [f"no names: the classes are called class_0 to class_{n_classes - 1}"]
    names = names_of(document["names"], data)
    if not names:
        raise DataError(f"{data}: `names` is empty, expected one for each class.")
    if n_classes not in (None, len(names)):
        raise DataError(f"{data} says nc: {n_classes}, and has {len(names)} names. Let them agree.")
    return names, []


def _base(document: dict[Any, Any], data: Path) -> Path:
    if document.get("path") is None:
        return data.parent
    base = path_of(document["path"], data.parent, f"{data}: `path`")
    # Ultralytics starts at the working directory. A folder beside the file is meant more often.
    from_here = path_of(document["path"], Path(), f"{data}: `path`")
    for place in (base, from_here):
        if is_folder(place):
            return place
    raise DataError(f"{data}: `path` is {shown(document['path'])}, but {base} is no folder.")


def _place(place: Any, base: Path, where: str) -> Path:
    path = path_of(place, base, where)
    # Exports of Roboflow say ../train/images, and mean train/images beside the file.
    if not is_folder(path) and not is_file(path) and place.startswith("../"):
        return path_of(place.removeprefix("../"), base, where)
    return path


def _pictures(place: Any, base: Path, where: str) -> list[Path]:
    path = _place(place, base, where)
    if is_folder(path):
        pictures = find_pictures(path)
        if not pictures:
            raise DataError(f"{where}: {path} holds no picture.")
        return pictures
    if not is_file(path):
        raise DataError(f"{where} is {place}, but {path} is not there.")
    if path.suffix.lower() != ".txt":
        raise DataError(f"{where} is {place}: expected a folder of pictures, or a .txt that lists")
    return _listed(path, base)


def _listed(list_file: Path, base: Path) -> list[Path]:
    pictures = []
    for number, line in enumerate(read_lines(list_file), 1):
        text = line.strip()
        if not text:
            continue
        places = [list_file.parent / text, base / text, Path(text)]
        found = next((place for place in places if is_file(place)), None)
        if found is None:
            raise DataError(f"{list_file}:{number} names {text:.120}, which is not there.")
        pictures.append(found)
    if not pictures:
        raise DataError(f"{list_file} is empty, expected one picture a line.")
    return pictures


def _keypoint_values(document: dict[Any, Any], data: Path) -> int:
    shape = document.get("kpt_shape")
    if shape is None:
        return 0
    if not (
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(n) is int and n > 0 for n in shape)
        and shape[1] in (2, 3)
    ):
        raise DataError(f"{data}: `kpt_shape` is {shown(shape)}, expected [how many, 2 or 3].")
    return int(shape[0] * shape[1])
