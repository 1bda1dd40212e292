"""yolo-slim convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cfg import totals
from yolo_slim.cli.options import Model, NamesFile, Size, WeightsFile, console
from yolo_slim.errors import InputError
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.report.table import human


def convert(
    model: Model,
    weights: WeightsFile = None,
    names: NamesFile = None,
    size: Size = None,
    out: Annotated[Path | None, typer.Option("--out", help="Bundle folder to write.")] = None,
    darknet: Annotated[
        Path | None, typer.Option("--darknet", help="Write STEM.cfg and STEM.weights.")
    ] = None,
) -> None:
    """Between bundles and Darknet's pairs of .cfg and .weights."""
    if (out is None) == (darknet is None):
        raise InputError("name one of --out DIR (a bundle) and --darknet STEM (a Darknet pair)")
    bundle = load_model(ModelSource(model, weights, names, size))
    if out is not None:
        bundle.save(out)
        written = str(out)
    else:
        assert darknet is not None
        written = ", ".join(str(path) for path in write_darknet_pair(bundle, darknet))
    console.print(f"{written}: {human(totals(bundle.cfg).parameters)} parameters", highlight=False)
