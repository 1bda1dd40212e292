"""What a training has logged: its curves over the epochs."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from yolo_slim.errors import InputError
from yolo_slim.train.logs import logs_of

Curves = dict[str, tuple[list[float], list[float]]]
"""Name -> epochs, from 1, and the value after each."""

SCORES = ("AP", "AP50", "top1", "top5")
_FIRST = (*SCORES, "loss", "box", "objectness", "classes", "class")
_PLACES = ("epoch", "step")


def read_curves(folder: Path) -> Curves:
    """Every column of the logs in the folder of a training, scores and loss first; empty where
    there are none.

    Raises InputError, with file and line, for a log that is none.
    """
    curves: Curves = {}
    for path in logs_of(folder):
        _read(path, curves)
    names = [name for name in _FIRST if name in curves]
    return {name: curves[name] for name in (*names, *sorted(curves.keys() - set(names)))}


def last_epoch(curves: Curves) -> int:
    """The epochs that have been logged; 0 where there are none."""
    return int(max((epochs[-1] for epochs, _ in curves.values()), default=0))


def last_score(curves: Curves, name: str) -> float | None:
    """The latest value of a curve; None where it was not measured."""
    return curves[name][1][-1] if name in curves else None


def _read(path: Path, curves: Curves) -> None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if "epoch" not in (reader.fieldnames or ()):
                raise InputError(f"{path} is no log of a training: it has no column 'epoch'")
            for row in reader:
                _add(row, f"{path}:{reader.line_num}", curves)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no log of a training: it cannot be read ({error})") from None


def _add(row: dict[str, str], where: str, curves: Curves) -> None:
    if None in row:
        raise InputError(f"{where} has more cells than there are columns: is the log damaged?")
    epoch = _number(row, "epoch", where) + 1
    if not math.isfinite(epoch):
        raise InputError(f"{where}: epoch is {row['epoch']}, expected a number")
    for name, text in row.items():
        if text and name not in _PLACES:
            epochs, values = curves.setdefault(name, ([], []))
            epochs.append(epoch)
            values.append(_number(row, name, where))


def _number(row: dict[str, str], name: str, where: str) -> float:
    try:
        return float(row[name])
    except (TypeError, ValueError):
        found = "nothing" if not row[name] else repr(row[name])
        raise InputError(
            f"{where}: {name} is {found}, expected a number: is the log damaged?"
        ) from None
