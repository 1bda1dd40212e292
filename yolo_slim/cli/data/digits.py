"""yolo-slim data digits"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import Seed, console
from yolo_slim.data.digits import make_digits
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
) -> None:
    """Compose a detection set from scikit-learn's 1,797 handwritten digits."""
    if labelled:
        counts = make_labelled_digits(out, seed)
        console.print(f"{out}: {counts['train']} pictures to train on, {counts['val']} to score")
        return
    make_digits(out, train, val, size, seed)
    console.print(f"{out / 'digits.yaml'}: {train} images to train on, {val} to score")
