"""yolo-slim compare"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from yolo_slim.cli.options import JsonFile, Threads, console, write_json
from yolo_slim.cli.targets import check_file
from yolo_slim.errors import Interrupted
from yolo_slim.pipeline.comparing import compare as run_arms
from yolo_slim.pipeline.comparison import Comparison, mean_and_deviation, paired_gain
from yolo_slim.pipeline.step_folder import ARMS_TABLE


def compare(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe that has arms to compare.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; a second call goes on in it.")],
    threads: Threads = None,
    json: JsonFile = None,
) -> None:
    """Trainings side by side that differ in one thing: each arm with each seed, mean and spread.

    The steps of the recipe come first; then all arms of a seed start from the same numbers and see
    the same pictures in the same order.
    """
    check_file(json, [recipe], only_json=True)
    try:
        comparison = run_arms(recipe, out, console, threads)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the same command goes on after what is done") from None
    console.print(_table(comparison))
    console.print(f"{out / ARMS_TABLE}: a line for each arm and seed")
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
