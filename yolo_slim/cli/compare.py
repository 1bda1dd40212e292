"""yolo-slim compare"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from yolo_slim.cli.options import JsonFile, Threads, console, write_json
from yolo_slim.cli.runs import check_runs_table, read_runs
from yolo_slim.cli.targets import check_file
from yolo_slim.console import note
from yolo_slim.errors import InputError, Interrupted
from yolo_slim.files import write_csv
from yolo_slim.pipeline.comparing import compare as run_arms
from yolo_slim.pipeline.comparison import (
    Comparison,
    are_comparisons,
    comparison_of,
    mean_and_deviation,
    other_parts,
    paired_gain,
)
from yolo_slim.pipeline.finished_run import FinishedRun
from yolo_slim.pipeline.run_tables import arm_lines, run_lines
from yolo_slim.pipeline.step_folder import ARMS_TABLE
from yolo_slim.report.table import step_table


def compare(
    recipe_or_runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE|RUN",
            help="A TOML recipe that has arms; or finished runs, of compare, compress, train or "
            "distill.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help=f"Run folder of a recipe; a second call goes on in it. Of runs: for {ARMS_TABLE}.",
        ),
    ] = None,
    threads: Threads = None,
    json: JsonFile = None,
) -> None:
    """Trainings side by side that differ in one thing: each arm with each seed, mean and spread.

    The steps of the recipe come first; then all arms of a seed start from the same numbers and see
    the same pictures in the same order. Runs of compare with the same arms have their seeds put
    together; other runs are a row each, and the first is what the others are compared with.
    """
    if len(recipe_or_runs) > 1 or recipe_or_runs[0].is_dir():
        _runs(recipe_or_runs, out, threads, json)
    else:
        _recipe(recipe_or_runs[0], out, threads, json)


def _recipe(recipe: Path, out: Path | None, threads: int | None, json: Path | None) -> None:
    check_file(json, [recipe], only_json=True)
    if not recipe.exists():
        raise InputError(
            f"{recipe} is not there: expected a recipe, or the folder of a finished run"
        )
    if out is None:
        raise InputError(
            f"--out is missing: {recipe} is a recipe, and its arms need a folder to be trained in"
        )
    try:
        comparison = run_arms(recipe, out, console, threads)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the same command goes on after what is done") from None
    _tell(comparison, json)
    console.print(f"{out / ARMS_TABLE}: a line for each arm and seed")


def _runs(
    folders: Sequence[Path], out: Path | None, threads: int | None, json: Path | None
) -> None:
    if threads is not None:
        raise InputError("--threads is for a recipe: of finished runs nothing is measured again")
    for path in folders:
        if path.is_file():
            raise InputError(
                f"{path} is a file: compare takes one recipe, or the folders of finished runs"
            )
    runs = read_runs(folders, json, arms_first=True)
    if out is not None:
        check_runs_table(out)
        if json is not None and json.resolve() == (out / ARMS_TABLE).resolve():
            raise InputError(f"{json} is where --out has its table: choose another --json")
    arms = are_comparisons(runs)
    if arms:
        _tell_arms(runs, json)
    else:
        rows = [run.result for run in runs]
        console.print(step_table(rows, "Run"))
        write_json(json, {"runs": [asdict(row) for row in rows]})
    if out is not None:
        write_csv(out / ARMS_TABLE, arm_lines(runs) if arms else run_lines(runs))
        console.print(f"{out / ARMS_TABLE}: a line for each {'arm and seed' if arms else 'run'}")


def _tell_arms(runs: Sequence[FinishedRun], json: Path | None) -> None:
    comparison = comparison_of(runs)
    other = other_parts(runs)
    if other:
        note(console, f"the recipes of these runs differ in: {', '.join(other)}")
    _tell(comparison, json)


def _tell(comparison: Comparison, json: Path | None) -> None:
    console.print(_table(comparison))
    write_json(json, _document(comparison))


def _table(comparison: Comparison) -> Table:
    control, *_ = comparison.arms
    title = f"AP, %, over {len(comparison.seeds)} seeds; gain over {control.name} with its error"
    table = Table(
        "arm", *(f"seed {seed}" for seed in comparison.seeds), "mean", "gain", title=title
    )
    for arm in comparison.arms:
        mean, deviation = mean_and_deviation(arm.APs)
        gain = ""
        if arm is not control:
            difference, error = paired_gain(arm, control)
            gain = f"{100 * difference:+.2f}"
            if len(comparison.seeds) > 1:
                gain += f" ± {100 * error:.2f}"
        table.add_row(
            arm.name, *(f"{100 * AP:.2f}" for AP in arm.APs),
            f"{100 * mean:.2f} ± {100 * deviation:.2f}", gain,
        )  # fmt: skip
    return table


def _document(comparison: Comparison) -> dict[str, object]:
    control, *_ = comparison.arms
    arms = []
    for arm in comparison.arms:
        mean, deviation = mean_and_deviation(arm.APs)
        gain, error = paired_gain(arm, control)
        arms.append(
            {"name": arm.name, "AP": arm.APs, "mean": mean, "deviation": deviation, "gain": gain,
             "gain_error": None if error != error else error}
        )  # fmt: skip
    return {"seeds": comparison.seeds, "arms": arms}
