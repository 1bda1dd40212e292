"""What the pages of finished runs show: of one, or of several side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle, load_bundle
from yolo_slim.errors import InputError
from yolo_slim.pipeline.comparison import (
    are_comparisons,
    comparison_of,
    mean_and_deviation,
    paired_gain,
)
from yolo_slim.pipeline.finished_run import FinishedRun
from yolo_slim.pipeline.step_folder import RECIPE
from yolo_slim.pipeline.summary import all_gammas, compress_report
from yolo_slim.pipeline.training_log import SCORES, Curves, last_score
from yolo_slim.report.model import Report
from yolo_slim.train.checkpoint import CHECKPOINT, circumstances_of
from yolo_slim.train.verdict import VERDICT, Verdict

_TOLD = 300
"""Letters of what is told of an event: some hold a list of every section."""


def report_of(runs: Sequence[FinishedRun]) -> Report:
    """The page of one run, or of several side by side.

    Raises InputError, naming the file, where a part of a run cannot be read.
    """
    if are_comparisons(runs):
        return _comparison_report(runs)
    if len(runs) > 1:
        return _side_by_side(runs)
    (run,) = runs
    return compress_report(run) if run.kind == "compress" else _training_report(run)


def _training_report(run: FinishedRun) -> Report:
    bundle = load_bundle(run.folder / BUNDLE_IN_RUN)
    verdict = _verdict(run)
    settings = circumstances_of(run.folder / "checkpoints" / CHECKPOINT)
    return Report(
        title=run.last.row.name,
        summary=_scores(run),
        steps=run.rows,
        gammas={"after sparsity": all_gammas(bundle)} if verdict else {},
        curves=run.curves,
        notes=verdict,
        history=_history(bundle),
        settings={name.removeprefix("--"): _text(value) for name, value in settings.items()},
    )


def _scores(run: FinishedRun) -> str:
    """A sentence: what was done, and what came of it."""
    curves = next(iter(run.curves.values()))
    scored = {name: last_score(curves, name) for name in SCORES if name in curves}
    told = ", ".join(f"{name} {value:.3f}" for name, value in scored.items())
    return f"{run.last.row.verb}: {told or 'nothing was scored on the way'}."


def _verdict(run: FinishedRun) -> list[str]:
    """What a sparse training has said at its end; nothing of another."""
    path = run.folder / VERDICT
    if not path.is_file():
        return []
    try:
        return Verdict.of(json.loads(path.read_text(encoding="utf-8"))).lines()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no verdict of a sparse training ({error!r}): move it away, and the run is "
            "told without it"
        ) from None


def _history(bundle: Bundle) -> list[tuple[str, ...]]:
    rows = [(e.verb, _pairs(e.settings), _pairs(e.result)) for e in bundle.history]
    return [("Done", "settings", "what came of it"), *rows]


def _pairs(named: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {_text(value)}" for name, value in named.items())
    return shorten(told, _TOLD, placeholder=" ...")


def _text(value: Any) -> str:
    if value is None:
        return "not given"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _comparison_report(runs: Sequence[FinishedRun]) -> Report:
    """Every arm with every seed, their curves over each other, and the means in words."""
    compared = comparison_of(runs)
    control, *_ = compared.arms
    notes = []
    for arm in compared.arms:
        mean, deviation = mean_and_deviation(arm.APs)
        told = f"{arm.name}: AP {100 * mean:.2f} ± {100 * deviation:.2f} %"
        if arm is not control:
            told += f", {100 * paired_gain(arm, control)[0]:+.2f} points over {control.name}"
        notes.append(told)
    return Report(
        title=_titles(runs),
        summary=f"{len(compared.arms)} arms, each with {len(compared.seeds)} seeds; mean and "
        "standard deviation are under Notes.",
        recipe=(runs[0].folder / RECIPE).read_text(encoding="utf-8"),
        circumstances=_circumstances(runs),
        steps=[row for arm in compared.arms for row in arm.rows],
        curves={name: _of_scores(curves) for run in runs for name, curves in run.curves.items()},
        notes=notes,
        side_by_side=True,
    )


def _side_by_side(runs: Sequence[FinishedRun]) -> Report:
    several = {
        str(run.folder) if len(run.curves) == 1 else f"{run.folder}: {name}": _of_scores(curves)
        for run in runs
        for name, curves in run.curves.items()
    }
    return Report(
        title=_titles(runs),
        summary=f"{len(runs)} runs side by side, each by its last model that was kept.",
        steps=[run.result for run in runs],
        curves={name: curves for name, curves in several.items() if curves},
        circumstances=_circumstances(runs),
        side_by_side=True,
    )


def _of_scores(curves: Curves) -> Curves:
    return {name: curve for name, curve in curves.items() if name in SCORES}


def _titles(runs: Sequence[FinishedRun]) -> str:
    return ", ".join(run.folder.resolve().name for run in runs)


def _circumstances(runs: Sequence[FinishedRun]) -> dict[str, str]:
    """Of each run that tells them, in a line."""
    told = {str(run.folder): run.last.circumstances for run in runs}
    return {run: "; ".join(f"{k} {v}" for k, v in told[run].items()) for run in told if told[run]}
