"""yolo-slim report"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from yolo_slim.cli.options import JsonFile, console, write_json
from yolo_slim.cli.runs import read_runs
from yolo_slim.cli.targets import check_page
from yolo_slim.errors import InputError
from yolo_slim.pipeline.run_pages import report_of
from yolo_slim.report.page import PAGE, write_report
from yolo_slim.report.table import step_table


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Folder that train, distill, compress or compare has made."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help=f"Page to write (.html); of one run by default RUN/{PAGE}."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """The page of a finished run, or of several side by side; nothing is trained or measured again.

    Of compress: as it was written at its end. Of train and distill: curves, settings, history.
    """
    if out is None and len(runs) > 1:
        raise InputError(f"several runs have no {PAGE} of their own: name one with --out FILE.html")
    target = out or runs[0] / PAGE
    read = read_runs(runs, json)
    check_page(target)
    if json is not None and json.resolve() == target.resolve():
        raise InputError(f"{target} is to be the page and, by --json, the document: name two files")
    page = report_of(read)
    write_report(target, page)
    console.print(step_table(page.steps, page.row_title))
    console.print(f"report: {target}")
    rows = [asdict(row) for row in page.steps]
    write_json(json, {"title": page.title, f"{page.row_title.lower()}s": rows})
