"""Finished runs as they are named on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolo_slim.bundle import BUNDLE_IN_RUN
from yolo_slim.cli.targets import check_file
from yolo_slim.errors import InputError
from yolo_slim.pipeline.finished_run import FinishedRun, read_run
from yolo_slim.pipeline.step_folder import ARMS_TABLE, RECIPE


def read_runs(
    folders: Sequence[Path], json: Path | None, arms_first: bool = False
) -> list[FinishedRun]:
    """See `read_run`. Raises InputError for a folder that is no run, has not ended, or is named
    twice, and where `json` is a document of a run."""
    check_file(json, [path for run in folders for path in run.rglob("*.json")], only_json=True)
    places: dict[Path, Path] = {}
    for folder in folders:
        real = folder.resolve()
        if real in places:
            raise InputError(f"{places[real]} and {folder} are the same run: name each once")
        places[real] = folder
    return [read_run(folder, arms_first) for folder in folders]


def check_runs_table(out: Path) -> None:
    """Raises InputError where the table of runs would be written into a run, or in place of another
    file; OSError where it cannot be written."""
    target = out / ARMS_TABLE
    if any((out / name).exists() for name in (RECIPE, BUNDLE_IN_RUN, "checkpoints")):
        raise InputError(f"{out} is the folder of a run, which keeps its own table: name another")
    check_file(target, [])
    if target.is_file() and not target.read_bytes().startswith((b"arm,AP,", b"run,verb,")):
        raise InputError(
            f"{target} exists and is no table of compare: nothing was written; choose another --out"
        )
