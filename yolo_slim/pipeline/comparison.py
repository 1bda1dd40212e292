"""Arms side by side: AP by seed, and what is made of it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from yolo_slim.errors import InputError
from yolo_slim.pipeline.finished_run import FinishedRun
from yolo_slim.pipeline.recipe import CompareSpec
from yolo_slim.pipeline.step_folder import RECIPE
from yolo_slim.report.model import StepRow


@dataclass(frozen=True)
class Compared:
    """An arm's rows, one a seed, in the order of the seeds."""

    name: str
    rows: tuple[StepRow, ...]

    @property
    def APs(self) -> list[float]:
        return [float(row.AP or 0.0) for row in self.rows]


@dataclass(frozen=True)
class Comparison:
    """arms: the first is what the others are compared with."""

    seeds: tuple[int, ...]
    arms: tuple[Compared, ...]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the standard deviation of a sample; 0 of a single value.

    >>> mean_and_deviation([0.5, 0.6, 0.7])
    (0.6, 0.1)
    """
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return round(float(np.mean(values)), 12), round(deviation, 12)


def paired_gain(arm: Compared, control: Compared) -> tuple[float, float]:
    """Mean AP over that of the control with the same seed, and the standard error of that mean;
    nan of a single seed."""
    gains = np.subtract(arm.APs, control.APs)
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    return float(np.mean(gains)), error


def are_comparisons(runs: Sequence[FinishedRun]) -> bool:
    """Whether they are of compare; raises InputError where some are and others are not."""
    arms = [run for run in runs if run.kind == "compare"]
    others = [run for run in runs if run.kind != "compare"]
    if arms and others:
        raise InputError(
            f"{arms[0].folder} is a run of compare, {others[0].folder} is one of {others[0].kind}: "
            "expected arms in all runs, or in none"
        )
    return bool(arms)


def comparison_of(runs: Sequence[FinishedRun]) -> Comparison:
    """The seeds of all runs of compare put together, in the order of the runs.

    Raises InputError where their arms differ, or a seed is in two of them.
    """
    first, *others = runs
    arms = _arms(first)
    for other in others:
        _require_same_arms(first, other)
    seeds: dict[int, FinishedRun] = {}
    for run in runs:
        for seed in _spec(run).seeds:
            if seed in seeds:
                raise InputError(
                    f"seed {seed} is in {seeds[seed].folder} and in {run.folder}: it would count "
                    "twice; compare runs of other seeds"
                )
            seeds[seed] = run
    parts = [_rows_by_arm(run) for run in runs]
    return Comparison(
        tuple(seeds),
        tuple(
            Compared(name, tuple(chain.from_iterable(part[k] for part in parts)))
            for k, name in enumerate(arms)
        ),
    )


def other_parts(runs: Sequence[FinishedRun]) -> list[str]:
    """Tables of the recipes that are not the same in all runs, beside their titles and seeds."""
    told = [_document(run) for run in runs]
    names = dict.fromkeys(name for document in told for name in document)
    return [name for name in names if any(d.get(name) != told[0].get(name) for d in told)]


def _spec(run: FinishedRun) -> CompareSpec:
    assert run.recipe is not None and run.recipe.compare is not None
    return run.recipe.compare


def _arms(run: FinishedRun) -> list[str]:
    return [arm.name for arm in _spec(run).arm]


def _rows_by_arm(run: FinishedRun) -> list[tuple[StepRow, ...]]:
    n_seeds = len(_spec(run).seeds)
    return [run.rows[k : k + n_seeds] for k in range(0, len(run.rows), n_seeds)]


def _require_same_arms(first: FinishedRun, other: FinishedRun) -> None:
    ours, theirs = _arms(first), _arms(other)
    if ours != theirs:
        raise InputError(
            f"{other.folder} has the arms {', '.join(theirs)}, {first.folder} has "
            f"{', '.join(ours)}: expected the same, in the same order"
        )
    for one, two in zip(_spec(first).arm, _spec(other).arm, strict=True):
        if _spec(first).step(one) != _spec(other).step(two):
            raise InputError(
                f"arm {one.name} is trained otherwise in {other.folder} than in {first.folder}: "
                "their seeds cannot be put together"
            )


def _document(run: FinishedRun) -> dict[str, object]:
    """The recipe as it was written: its paths mean what they meant where it lay."""
    document = tomllib.loads((run.folder / RECIPE).read_text(encoding="utf-8"))
    student = document.pop("compare").get("student")
    return {**document, "title": None, "student": student}
