"""yolo-slim convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import (
    BackboneSource,
    JsonFile,
    Model,
    NamesFile,
    Size,
    WeightsFile,
    console,
    tell_notes,
    with_backbone,
    write_json,
)
from yolo_slim.cli.targets import check_bundle, check_file, check_pair, save_bundle
from yolo_slim.errors import InputError
from yolo_slim.pipeline.darknet_pair import Reader, pair_paths, write_darknet_pair
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.report.table import human


def convert(
    model: Model,
    weights: WeightsFile = None,
    backbone_weights: BackboneSource = None,
    names: NamesFile = None,
    size: Size = None,
    out: Annotated[Path | None, typer.Option("--out", help="Bundle folder to write.")] = None,
    darknet: Annotated[
        Path | None, typer.Option("--darknet", help="Write STEM.cfg and STEM.weights.")
    ] = None,
    reader: Annotated[
        Reader, typer.Option(help="Whose BatchNorm epsilon the Darknet pair is written for.")
    ] = "darknet",
    allow_extensions: Annotated[
        bool,
        typer.Option("--allow-extensions", help="Write a pair that Darknet itself cannot run."),
    ] = False,
    json: JsonFile = None,
) -> None:
    """Between bundles and Darknet's pairs of .cfg and .weights; imports a trained backbone."""
    if (out is None) == (darknet is None):
        raise InputError("name one of --out DIR (a bundle) and --darknet STEM (a Darknet pair)")
    source = ModelSource(model, weights, names, size)
    sources = [*source.files, Path(backbone_weights) if backbone_weights else None]
    if out is not None:
        targets = [out]
        check_bundle(out, sources)
    else:
        assert darknet is not None
        targets = [*pair_paths(darknet)]
        check_pair(*pair_paths(darknet), sources)
    check_file(json, [*sources, *targets], only_json=True)
    bundle = load_model(source, untrained=backbone_weights is not None)
    tell_notes(bundle.cfg)
    bundle = with_backbone(bundle, backbone_weights)
    if out is not None:
        save_bundle(bundle, out)
    else:
        assert darknet is not None
        write_darknet_pair(bundle, darknet, reader, allow_extensions)
    written = [str(path) for path in targets]
    told = ModelSize.of(bundle).known()
    console.print(f"{', '.join(written)}: {human(told['parameters'])} parameters")
    made = ModelSource(written[0], targets[1] if darknet is not None else None)
    write_json(json, {"written": written, **told, "file_bytes": made.file_bytes})
