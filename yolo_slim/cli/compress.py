"""yolo-slim compress"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import JsonFile, Threads, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.errors import Interrupted
from yolo_slim.pipeline.compress import compress as run_recipe
from yolo_slim.pipeline.finished_run import read_run
from yolo_slim.pipeline.run_pages import report_of
from yolo_slim.pipeline.summary import keep_summary, table_rows
from yolo_slim.report.page import PAGE, write_report
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
    keep_summary(compression)
    write_report(out / PAGE, report_of([read_run(out)]))
    console.print(step_table(compression.rows))
    console.print(f"report: {out / PAGE}")
    write_json(json, {"steps": table_rows(compression)})
