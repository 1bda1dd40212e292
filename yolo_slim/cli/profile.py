"""yolo-slim profile"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from yolo_slim.cfg import Cfg, measure, totals, winograd_multiplications
from yolo_slim.cli.options import (
    JsonFile,
    RunnableModel,
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
from yolo_slim.cli.targets import check_file, check_table
from yolo_slim.console import note
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.nn.winograd.convolution import TILES
from yolo_slim.pipeline.models import ModelSource, load_model, runtime_for, session_opener
from yolo_slim.pipeline.runtimes import RUNTIMES, Opener
from yolo_slim.report.sections import markdown_table, section_table
from yolo_slim.report.table import human
from yolo_slim.runtime.latency import Latency, measure_latency

BY_ITSELF = {name: runtime.winograd for name, runtime in RUNTIMES.items()}
"""Engine -> whether it saves multiplications without being asked."""


def profile(
    model: RunnableModel,
    others: Annotated[
        list[str] | None, typer.Argument(help="More models, timed in alternation.")
    ] = None,
    weights: WeightsFile = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime",
            help=f"{', '.join(RUNTIMES)}; several are timed in alternation; else what suits the "
            "model, onnxruntime for a bundle.",
        ),
    ] = None,
    size: Size = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", help="The same, as --compare A B or --compare A --compare B."),
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
    beside = [*(compare or ()), *(others or ())]
    twice = next((name for name, count in Counter([model, *beside]).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is named twice: a model is timed beside others, name each once")
    sources |= {other: ModelSource(other, size_px=size) for other in beside}
    read = [path for source in sources.values() for path in source.files]
    check_file(json, read, only_json=True)
    check_table(markdown, [*read, json])
    with tempfile.TemporaryDirectory() as folder:
        openers: dict[tuple[str, str], Opener] = {}
        cfgs: dict[str, Cfg] = {}
        rounded: set[str] = set()
        for name, source in sources.items():
            for wanted in runtime or (None,):
                engine = runtime_for(source, wanted, of_bundle="onnxruntime")
                openers[name, engine] = session_opener(
                    source, Path(folder), engine, threads, True, tiles.get(name)
                )
                if name not in cfgs and source.is_engine_file:
                    cfgs[name] = openers[name, engine]().cfg
            if not source.is_engine_file:  # as it was made, not as the engine folds it
                bundle = load_model(source, True)
                cfgs[name] = bundle.cfg
                if bundle.precision is not None:
                    rounded.add(name)
        engines = list(dict.fromkeys(engine for _, engine in openers))
        with progress(f"latency in {', '.join(engines)}") as advance:
            latencies = measure_latency(openers, progress=advance)
    tell_notes(cfgs[model])
    if markdown is None:
        console.print(section_table(cfgs[model]))
    else:
        with whole_file(markdown) as temporary:
            temporary.write_text(markdown_table(cfgs[model]), encoding="utf-8")
    console.print(
        "Winograd on its own: " + "; ".join(f"{name} {does}" for name, does in BY_ITSELF.items()),
        style="dim",
    )
    summary = Table("model", "runtime", "parameters", "MACs", "latency (median)", "ratio")
    first = next(iter(latencies.values())).median_ms
    for (name, engine), latency in latencies.items():
        total, ms = totals(cfgs[name]), latency.median_ms
        parameters, macs = human(total.parameters), human(total.macs)
        summary.add_row(name, engine, parameters, macs, f"{ms:.2f} ms", f"{ms / first:.3g}")
    console.print(summary)
    for name, engine in latencies:
        if engine == "torch" and name in rounded:
            note(console, f"{name} in torch: INT8 is imitated in float there, which takes longer")
    write_json(json, {**_document(cfgs, latencies, sources), "winograd": tiles[model]})


def _document(
    cfgs: Mapping[str, Cfg],
    latencies: Mapping[tuple[str, str], Latency],
    sources: Mapping[str, ModelSource],
) -> dict[str, Any]:
    """The first model whole, the totals of the others, all in the first engine of each; and every
    latency."""
    told: dict[str, tuple[str, dict[str, Any]]] = {}
    for (name, engine), latency in latencies.items():
        told.setdefault(name, (engine, _totals(cfgs[name], latency, sources[name])))
    model, *others = told
    by_tiles = {str(tile): winograd_multiplications(cfgs[model], tile) for tile in TILES}
    return {
        "totals": told[model][1],
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
            for cost in measure(cfgs[model])
        ],
        "runtime": told[model][0],
        "winograd_on_its_own": BY_ITSELF,
        "compare": {name: told[name][1] for name in others},
        "latencies": [
            {"model": name, "runtime": engine, "latency_ms": latency.median_ms}
            for (name, engine), latency in latencies.items()
        ],
    }


def _totals(cfg: Cfg, latency: Latency, source: ModelSource) -> dict[str, Any]:
    total = totals(cfg)
    return {
        "parameters": total.parameters,
        "macs": total.macs,
        "multiplications": total.macs,
        "multiplications_winograd": {
            str(tile): sum(winograd_multiplications(cfg, tile)) for tile in TILES
        },
        "traffic_bytes": total.traffic_bytes,
        "latency_ms": latency.median_ms,
        "file_bytes": source.file_bytes,
    }
