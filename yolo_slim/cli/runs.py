"""Finished runs as they are named on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolo_slim.cli.targets import check_file
from yolo_slim.errors import InputError
from yolo_slim.pipeline.finished_run import FinishedRun, read_run


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
