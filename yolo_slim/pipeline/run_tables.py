"""Finished runs as the lines of a table: numbers with their circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from yolo_slim.pipeline.comparison import comparison_of
from yolo_slim.pipeline.finished_run import FinishedRun


def run_lines(runs: Sequence[FinishedRun]) -> list[dict[str, object]]:
    """One a run: its result, and the circumstances of its numbers, where they are known."""
    lines: list[dict[str, object]] = []
    for run in runs:
        row = asdict(run.result)
        lines.append({"run": row.pop("name"), **row, **run.last.circumstances})
    return _filled(lines)


def arm_lines(runs: Sequence[FinishedRun]) -> list[dict[str, object]]:
    """One for each arm and seed of all runs, in the order of the arms; raises InputError as
    `comparison_of`."""
    told = {line.row.name: line for run in runs for line in run.lines}
    lines: list[dict[str, object]] = []
    for arm in comparison_of(runs).arms:
        for row in arm.rows:
            lines.append(
                {"arm": arm.name, "AP": row.AP, "AP50": row.AP50, "parameters": row.parameters,
                 "macs": row.macs, "seconds": row.seconds, **told[row.name].circumstances}
            )  # fmt: skip
    return _filled(lines)


def _filled(lines: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Each with the columns of all."""
    columns = dict.fromkeys(name for line in lines for name in line)
    return [{name: line.get(name, "") for name in columns} for line in lines]
