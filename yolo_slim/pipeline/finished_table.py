"""The table of a recipe's run, held together with the folders of its steps: it has ended if they
agree."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from glob import escape
from pathlib import Path

from yolo_slim.errors import InputError
from yolo_slim.pipeline.recipe import Recipe
from yolo_slim.pipeline.recipe_steps import RepeatStep
from yolo_slim.pipeline.step_folder import ARMS, ARMS_TABLE, TABLE, read_result
from yolo_slim.report.model import StepRow

_MEASURED = ("parameters", "macs", "AP", "AP50", "seconds")
"""What a step's result and its line in a table both say."""

_NO_CIRCUMSTANCES = {"recipe", "arm", *(f.name for f in fields(StepRow))}


@dataclass(frozen=True)
class TableLine:
    """row: of a model. folder: of its step. circumstances: of its numbers, name -> text."""

    row: StepRow
    folder: Path
    circumstances: Mapping[str, str] = field(default_factory=dict)


def read_steps(folder: Path, recipe: Recipe) -> tuple[TableLine, ...]:
    """The steps of a compression, with their latencies. Raises InputError where it has not ended,
    or where the table is none."""
    path = folder / TABLE
    lines = _read(path, ("name", "verb", "latency_ms", *_MEASURED), "compress")
    names = {line["name"] for line in lines}
    for step in recipe.step:
        wanted = step.names() if isinstance(step, RepeatStep) else [step.name]
        if not names & set(wanted):
            raise _unfinished(folder, f"{path} tells nothing of step {step.name}", "compress")
    found = []
    for line in lines:
        made = _finished(folder, line["name"], line, path, "compress")
        try:
            latency_ms = float(line["latency_ms"]) if line["latency_ms"] else None
        except ValueError:
            raise InputError(
                f"{path}: latency_ms of {line['name']} is {line['latency_ms']!r}, expected a number"
            ) from None
        kept = line.get("kept") != "False"
        row = replace(made.row, verb=line["verb"], latency_ms=latency_ms, kept=kept)
        found.append(replace(made, row=row))
    return tuple(found)


def read_arms(folder: Path, recipe: Recipe) -> tuple[TableLine, ...]:
    """Each arm with each seed, in the order of the recipe. Raises InputError as `read_steps`."""
    path = folder / ARMS_TABLE
    lines = _read(path, ("arm", "seed", *_MEASURED), "compare")
    if recipe.compare is None:
        raise InputError(f"{folder} has arms, and its recipe has no [compare]: is it mixed up?")
    by_name = {(line["arm"], line["seed"]): line for line in lines}
    wanted = [(arm.name, str(seed)) for arm in recipe.compare.arm for seed in recipe.compare.seeds]
    for arm, seed in wanted:
        if (arm, seed) not in by_name:
            missing = f"{path} tells nothing of arm {arm} with seed {seed}"
            raise _unfinished(folder, missing, "compare")
    return tuple(
        _finished(folder / ARMS, f"{arm}-{seed}", by_name[arm, seed], path, "compare")
        for arm, seed in wanted
    )


def _read(path: Path, columns: Sequence[str], verb: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise _unfinished(path.parent, f"it has no {path.name}", verb)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error})") from None
    if not lines or not all(isinstance(line.get(name), str) for line in lines for name in columns):
        raise InputError(
            f"{path} is no table of {verb}: expected {', '.join(columns)} in each line"
        )
    return lines


def _finished(
    folder: Path, name: str, line: Mapping[str, str], table: Path, verb: str
) -> TableLine:
    """The step of that name whose result is what its line in the table says."""
    for result in sorted(folder.glob(f"[0-9][0-9]-{escape(name)}")):
        found = read_result(result)
        if found is None:
            continue
        row, _ = found
        if all(line[key] == _text(getattr(row, key)) for key in _MEASURED):
            told = {k: v for k, v in line.items() if k not in _NO_CIRCUMSTANCES}
            return TableLine(row, result, told)
    raise _unfinished(
        table.parent, f"{table.name} and the folders of the steps disagree about {name}", verb
    )


def _unfinished(folder: Path, why: str, verb: str) -> InputError:
    return InputError(f"{folder} is not finished ({why}): the {verb} that began it goes on with it")


def _text(value: float | None) -> str:
    return "" if value is None else str(value)
