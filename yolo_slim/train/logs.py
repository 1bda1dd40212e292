"""metrics.csv over interruptions: one file, whatever happened on the way."""

from __future__ import annotations

import csv
from pathlib import Path

from yolo_slim.files import whole_file
from yolo_slim.processes import is_first_process

LOG = "metrics.csv"
_PARTS = "metrics-*.csv"


def keep_earlier_log(out: Path) -> None:
    """Lightning starts the log anew; what an interrupted part logged keeps a number meanwhile."""
    earlier = out / LOG
    if is_first_process() and earlier.is_file():
        earlier.rename(out / f"metrics-{len(list(out.glob(_PARTS))):03d}.csv")


def logs_of(out: Path) -> list[Path]:
    """The parts of the log that there are, in order; one where the training was not interrupted."""
    return [path for path in (*sorted(out.glob(_PARTS)), out / LOG) if path.is_file()]


def join_logs(out: Path) -> None:
    """Puts the earlier parts in front of the log, once the training has ended."""
    parts = sorted(out.glob(_PARTS))
    if not parts or not is_first_process():
        return
    rows = [row for path in logs_of(out) for row in _rows(path)]
    columns = dict.fromkeys(name for row in rows for name in row)
    with (
        whole_file(out / LOG) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
    for part in parts:
        part.unlink()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
