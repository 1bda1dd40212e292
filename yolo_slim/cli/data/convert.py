"""yolo-slim data convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    NamesFile,
    console,
    dataset,
    progress,
    write_json,
)
from yolo_slim.cli.targets import check_file, require_apart, require_kept
from yolo_slim.console import note
from yolo_slim.data.carried import Target
from yolo_slim.data.convert import Pictures
from yolo_slim.data.convert import convert as convert_data
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import folders_searched, has_test_split, splits_in
from yolo_slim.data.pictures import read_names
from yolo_slim.errors import InputError
from yolo_slim.files import require_writable


def convert(
    to: Annotated[Target, typer.Option("--to", help="Form of the annotations to write.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; new or empty.")],
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    split: Annotated[
        Literal["train", "val"] | None,
        typer.Option(help="What --images/--annotations are; else train."),
    ] = None,
    names: NamesFile = None,
    pictures: Annotated[
        Pictures, typer.Option("--pictures", help="What becomes of the pictures.")
    ] = "link",
    json: JsonFile = None,
) -> None:
    """Write a data set in another form: both splits of --data, or one of --images/--annotations.

    The description in DIR is ready for --data. What the form cannot hold is counted and told.
    """
    sources = [data, images, annotations, names]
    check_file(json, sources, only_json=True)
    require_apart(json, [annotations])
    require_kept([out], sources)
    require_apart(out, [images, annotations, *(folders_searched(data) if data else ())])
    require_writable(out)
    if data is not None and names is not None:
        raise InputError("--names goes with --images and --annotations; --data has its own")
    if data is not None and split is not None:
        raise InputError("--split goes with --images and --annotations; of --data all is converted")
    class_names = read_names(names) if names else ()
    wanted = (split or "train",) if data is None else splits_in(data)
    if data is not None and has_test_split(data):
        note(console, f"{data}: `test` is not converted")
    found: dict[str, Dataset] = {
        s: dataset(data, images, annotations, s, class_names) for s in wanted
    }
    with progress("convert") as advance:
        converted = convert_data(found, to, out, pictures, advance)
    for text in converted.notes:
        note(console, text)
    counts = ", ".join(
        f"{name} {converted.images[name]} pictures with {converted.boxes[name]} boxes"
        for name in found
    )
    console.print(f"{converted.description}: {counts}")
    told = [text for dataset_ in found.values() for text in dataset_.notes]
    summary = {
        "to": to,
        "description": str(converted.description),
        "pictures": pictures,
        "classes": list(next(iter(found.values())).class_names),
        "splits": {
            name: {"images": converted.images[name], "boxes": converted.boxes[name]}
            for name in found
        },
        "notes": [*told, *converted.notes],
    }
    write_json(json, summary)
