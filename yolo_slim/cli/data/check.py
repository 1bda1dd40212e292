"""yolo-slim data check"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from yolo_slim.cli.findings import EXAMPLES, FindingsRow, findings_table
from yolo_slim.cli.options import (
    Annotations,
    Data,
    Images,
    JsonFile,
    console,
    progress,
    write_json,
)
from yolo_slim.cli.targets import check_file, check_page, require_apart
from yolo_slim.data.check.finding import KINDS
from yolo_slim.data.check.run import Outcome, check_splits
from yolo_slim.data.check.sources import read_splits
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.findings import by_kind
from yolo_slim.pipeline.checking import check_document, told
from yolo_slim.pipeline.checking import check_page as page_of
from yolo_slim.report.check_page import write_check_page

PAGE = "check.html"


def check(
    data: Data = None,
    images: Images = None,
    annotations: Annotations = None,
    out: Annotated[
        Path | None, typer.Option("--out", help=f"Folder for {PAGE}, with the worst pictures.")
    ] = None,
    size: Annotated[
        int, typer.Option("--size", min=32, max=8192, help="Input size in px, for tiny boxes.")
    ] = 416,
    resize: Annotated[
        Literal["letterbox", "stretch"], typer.Option(help="How images become inputs.")
    ] = "stretch",
    json: JsonFile = None,
) -> None:
    """Find faults in pictures and boxes, in both splits of --data, and name all of them.

    Exit status: 0 without a fault (warnings and notes are none), 1 with faults, 2 where what is
    named cannot be read as a data set.
    """
    if data is None and images is None and annotations is None:
        raise InputError("no data: name --data FILE, or --images DIR with --annotations FILE")
    page = out / PAGE if out else None
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected the name of a folder for {PAGE}")
    check_file(json, [data, annotations], only_json=True)
    require_apart(json, [annotations])
    if page is not None:
        check_page(page)
    splits = read_splits(data, images, annotations)
    started = time.perf_counter()
    try:
        with progress("check") as advance:
            outcome = check_splits(splits, (size, size), resize, advance)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was written") from None
    seconds = time.perf_counter() - started
    if outcome.findings:
        console.print(_table(outcome))
    n_pictures = len(outcome.evidence.pictures)
    console.print(f"{told(outcome)} {n_pictures / seconds:.0f} pictures a second.")
    write_json(json, check_document(outcome))
    if page is not None:
        write_check_page(page, page_of(outcome, str(data or annotations), seconds))
        console.print(f"{page}: the findings with pictures")
    if outcome.n_faults:
        raise typer.Exit(1)


def _table(outcome: Outcome) -> Table:
    """Kinds with their counts and first examples."""
    return findings_table(
        FindingsRow(
            KINDS[kind].severity,
            kind,
            len(found),
            [f"{finding.where()}: {finding.found}" for finding in found[:EXAMPLES]],
            KINDS[kind].advice,
        )
        for kind, found in by_kind(outcome.findings, KINDS).items()
    )
