"""yolo-slim data digits"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import JsonFile, Seed, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.data.digits import CLASS_NAMES, STAMP, make_digits
from yolo_slim.data.labelled_digits import make_labelled_digits


def digits(
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")],
    train: Annotated[int, typer.Option(min=1, max=100_000, help="Training images.")] = 1200,
    val: Annotated[int, typer.Option(min=1, max=100_000, help="Validation images.")] = 200,
    size: Annotated[int, typer.Option(min=120, max=2048, help="Side of an image in px.")] = 160,
    labelled: Annotated[
        bool, typer.Option("--labelled", help="The digits themselves, 8x8 px, in a folder a class.")
    ] = False,
    seed: Seed = 0,
    json: JsonFile = None,
) -> None:
    """Compose a detection set from scikit-learn's 1,797 handwritten digits."""
    check_file(json, [out, out / STAMP], only_json=True)
    if labelled:
        counts = make_labelled_digits(out, seed)
        description = None
        console.print(f"{out}: {counts['train']} pictures to train on, {counts['val']} to score")
    else:
        counts = {"train": train, "val": val}
        make_digits(out, train, val, size, seed)
        description = str(out / "digits.yaml")
        console.print(f"{description}: {train} images to train on, {val} to score")
    splits = {split: {"images": count} for split, count in counts.items()}
    told = {"out": str(out), "description": description, "classes": list(CLASS_NAMES)}
    write_json(json, {**told, "splits": splits})
