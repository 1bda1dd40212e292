"""yolo-slim profile"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from yolo_slim.cfg import Cfg, measure, totals, winograd_multiplications
from yolo_slim.cli.options import (
    JsonFile,
    RunnableModel,
    Runtime,
    Size,
    Threads,
    WeightsFile,
    Winograd,
    console,
    progress,
    tell_notes,
    tile_choice,
    write_json,
)
from yolo_slim.cli.targets import check_file
from yolo_slim.files import whole_file
from yolo_slim.nn.winograd.convolution import TILES
from yolo_slim.pipeline.models import ModelSource, load_model, session_opener
from yolo_slim.report.sections import markdown_table, section_table
from yolo_slim.report.table import human
from yolo_slim.runtime.latency import Latency, measure_latency


def profile(
    model: RunnableModel,
    weights: WeightsFile = None,
    runtime: Runtime = "onnxruntime",
    size: Size = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="Another model, timed in alternation.")
    ] = None,
    threads: Threads = None,
    winograd: Winograd = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table by section here.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """A table by section, to paste into a paper, and measured latency for one image.

    With --winograd the model is timed so and directly, in alternation.
    """
    sources = {model: ModelSource(model, weights, size_px=size)}
    tiles = {model: tile_choice(winograd)}
    if winograd is not None:
        sources[direct := f"{model} (direct)"] = sources[model]
        tiles[direct] = None
    sources |= {other: ModelSource(other, size_px=size) for other in compare or ()}
    read = [path for source in sources.values() for path in source.files]
    check_file(json, read, only_json=True)
    check_file(markdown, read)
    with tempfile.TemporaryDirectory() as folder:
        openers = {
            name: session_opener(source, Path(folder), runtime, threads, True, tiles.get(name))
            for name, source in sources.items()
        }
        cfgs = {
            # As it was made, not as the engine folds it.
            name: opener().cfg if sources[name].is_onnx else load_model(sources[name], True).cfg
            for name, opener in openers.items()
        }
        with progress(f"latency in {runtime}") as advance:
            latencies = measure_latency(openers, progress=advance)
    tell_notes(cfgs[model])
    if markdown is None:
        console.print(section_table(cfgs[model]))
    else:
        with whole_file(markdown) as temporary:
            temporary.write_text(markdown_table(cfgs[model]))
    summary = Table("model", "parameters", "MACs", "latency (median)", "ratio")
    first = latencies[model].median_ms
    for name, cfg in cfgs.items():
        total, ms = totals(cfg), latencies[name].median_ms
        summary.add_row(
            name, human(total.parameters), human(total.macs), f"{ms:.2f} ms", f"{ms / first:.2f}"
        )
    console.print(summary)
    document = {name: _document(cfg, latencies[name], sources[name]) for name, cfg in cfgs.items()}
    others = {name: document[name]["totals"] for name in document if name != model}
    told = {"runtime": runtime, "winograd": tiles[model], "compare": others}
    write_json(json, {**document[model], **told})


def _document(cfg: Cfg, latency: Latency, source: ModelSource) -> dict[str, Any]:
    total = totals(cfg)
    path = source.path
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else [source.weights or path]
    by_tiles = {str(tile): winograd_multiplications(cfg, tile) for tile in TILES}
    return {
        "totals": {
            "parameters": total.parameters,
            "macs": total.macs,
            "multiplications": total.macs,
            "multiplications_winograd": {tile: sum(n) for tile, n in by_tiles.items()},
            "traffic_bytes": total.traffic_bytes,
            "latency_ms": latency.median_ms,
            "file_bytes": sum(f.stat().st_size for f in files if f.is_file()) or None,
        },
        "sections": [
            {
                "index": cost.index,
                "kind": cost.section.kind,
                "in_channels": cost.in_channels,
                "output": list(cost.shape),
                "parameters": cost.parameters,
                "macs": cost.macs,
                "multiplications": cost.macs,
                "multiplications_winograd": {tile: n[cost.index] for tile, n in by_tiles.items()},
                "map_bytes": cost.map_bytes,
                "traffic_bytes": cost.traffic_bytes,
            }
            for cost in measure(cfg)
        ],
    }
