"""What a compression step measures and prints of how much smaller its result is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.bundle import Bundle
from yolo_slim.cli.options import console, progress
from yolo_slim.console import note, percent
from yolo_slim.errors import InputError
from yolo_slim.pipeline.models import ModelSource
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.pipeline.timing import USUAL, Engine, latencies_ms
from yolo_slim.report.table import human
from yolo_slim.runtime.session import default_threads

Latency = Annotated[
    bool,
    typer.Option(
        "--latency", help="Measure one image before and after; --json does it in any case."
    ),
]


def sizes_of(
    before: Bundle, source: ModelSource, after: Bundle, out: Path, timed: bool,
    threads: int | None, engine: Engine = USUAL,
) -> tuple[ModelSize, ModelSize]:  # fmt: skip
    """Before and after; with latency where it is to be `timed`. out: where `after` was saved."""
    found: dict[str, float] = {}
    if timed:
        bundles = {"before": before, "after": after}
        try:
            with progress("latency before and after"):
                found = latencies_ms(bundles, threads or default_threads(), engine)
        except InputError as error:  # what was made is saved, and good
            note(console, f"latency is not measured: {error}")
    saved = ModelSource(str(out))
    return (
        ModelSize.of(before, found.get("before"), source.file_bytes),
        ModelSize.of(after, found.get("after"), saved.file_bytes),
    )


def print_shrinkage(out: Path, sizes: tuple[ModelSize, ModelSize]) -> None:
    """Before and after, and what share is left."""
    old, new = sizes
    latency = ""
    if old.latency_ms and new.latency_ms:
        share = percent(new.latency_ms / old.latency_ms)
        latency = f", {old.latency_ms:.2f} -> {new.latency_ms:.2f} ms ({share})"
    console.print(
        f"{out}: {human(old.parameters)} -> {human(new.parameters)} parameters "
        f"({percent(new.parameters / old.parameters)}), {human(old.macs)} -> "
        f"{human(new.macs)} MACs ({percent(new.macs / old.macs)}){latency}"
    )
