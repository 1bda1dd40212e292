"""yolo-slim compress"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import JsonFile, Threads, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.errors import Interrupted
from yolo_slim.pipeline.compress import compress as run_recipe
from yolo_slim.pipeline.summary import as_report, table_rows, write_table
from yolo_slim.report.page import write_report
from yolo_slim.report.table import step_table


def compress(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe; see recipes/.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; a second call goes on in it.")],
    threads: Threads = None,
    json: JsonFile = None,
) -> None:
    """The whole pipeline of a recipe: train, sparsify, prune, recover, quantize, export, prove."""
    check_file(json, [recipe], only_json=True)
    try:
        compression = run_recipe(recipe, out, console, threads)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the same command goes on after what is done") from None
    report = as_report(compression)
    write_report(out / "report.html", report)
    write_table(out / "table.csv", compression)
    console.print(step_table(compression.rows))
    console.print(f"report: {out / 'report.html'}")
    write_json(json, {"steps": table_rows(compression)})
