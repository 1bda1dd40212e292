"""A run that has ended, as its folder tells it: of compress, compare, train or distill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from yolo_slim.bundle import BUNDLE_IN_RUN, WEIGHTS, Event, is_bundle, load_bundle
from yolo_slim.cfg import totals
from yolo_slim.errors import InputError
from yolo_slim.pipeline.finished_table import TableLine, read_arms, read_steps
from yolo_slim.pipeline.recipe import Recipe
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.step_folder import ARMS_TABLE, RECIPE, TABLE, is_run
from yolo_slim.pipeline.teaching import FEATURES
from yolo_slim.pipeline.training_log import Curves, last_epoch, last_score, read_curves
from yolo_slim.report.model import StepRow


@dataclass(frozen=True)
class FinishedRun:
    """kind: the verb that left it; 'train' is distill, too.

    lines: its models in order: steps, arms with a seed each, or the one that was trained.
    recipe: None of a training.
    """

    folder: Path
    kind: Literal["compress", "compare", "train"]
    lines: tuple[TableLine, ...]
    recipe: Recipe | None = None

    @property
    def rows(self) -> tuple[StepRow, ...]:
        return tuple(line.row for line in self.lines)

    @property
    def last(self) -> TableLine:
        """Of the model that is the result: no round that was not kept."""
        kept = [line for line in self.lines if line.row.kept]
        return (kept or self.lines)[-1]

    @property
    def result(self) -> StepRow:
        """Its result, by the name of the run."""
        row = self.last.row
        made = row.verb if self.recipe is None else f"{self.recipe.title}: {row.name}"
        return replace(row, name=str(self.folder), verb=made)

    @cached_property
    def curves(self) -> dict[str, Curves]:
        """Name of a training -> its curves. Raises InputError for a log that is none."""
        found = {line.row.name: read_curves(line.folder) for line in self.lines}
        if self.kind == "train":
            found[FEATURES] = read_curves(self.folder / FEATURES)
        return {name: curves for name, curves in found.items() if curves}


def read_run(folder: Path, arms_first: bool = False) -> FinishedRun:
    """arms_first: where both compress and compare have run in the folder, it is one of compare.

    Raises InputError for a folder that is no run, or of a run that has not ended.
    """
    if (folder / RECIPE).is_file() and is_run(folder):
        return _of_recipe(folder, arms_first)
    if is_bundle(folder / BUNDLE_IN_RUN) or (folder / "checkpoints").is_dir():
        return _training(folder)
    found = "exists and is no run" if folder.exists() else "is not there"
    raise InputError(
        f"{folder} {found}: expected the folder that train, distill, compress or compare was given "
        "as --out"
    )


def _of_recipe(folder: Path, arms_first: bool) -> FinishedRun:
    recipe = read_recipe(folder / RECIPE)
    has_table = (folder / TABLE).is_file()
    has_arms = (folder / ARMS_TABLE).is_file() or (recipe.compare is not None and not has_table)
    if has_arms and (arms_first or not has_table):
        return FinishedRun(folder, "compare", read_arms(folder, recipe), recipe)
    return FinishedRun(folder, "compress", read_steps(folder, recipe), recipe)


def _training(folder: Path) -> FinishedRun:
    place = folder / BUNDLE_IN_RUN
    if not is_bundle(place):
        raise InputError(
            f"{folder} is not finished: it has checkpoints and no bundle; the command that began "
            "it goes on with --resume"
        )
    bundle = load_bundle(place)
    curves = read_curves(folder)
    if not curves:
        raise InputError(f"{folder} has no metrics.csv: expected that of the training in it")
    trained = next((event for event in reversed(bundle.history) if event.verb == "train"), None)
    epochs, logged = (trained or Event("")).settings.get("epochs"), last_epoch(curves)
    if not isinstance(epochs, int):
        raise InputError(f"{place} was not trained: its history has no train with its epochs")
    if logged > epochs:
        raise InputError(
            f"{folder} is not finished: its bundle is of {epochs} epochs, metrics.csv tells of "
            f"{logged}; the command that went on with it does so again with --resume"
        )
    assert trained is not None
    size = totals(bundle.cfg)
    row = StepRow(
        folder.resolve().name, verb_of(trained), size.parameters, size.macs,
        (place / WEIGHTS).stat().st_size, AP=last_score(curves, "AP"),
        AP50=last_score(curves, "AP50"),
    )  # fmt: skip
    return FinishedRun(folder, "train", (TableLine(row, folder),))


def verb_of(event: Event) -> str:
    """A training in a few words."""
    told = event.settings
    words = [f"train {told['epochs']} epochs"]
    words += [f"sparsity {told['sparsity']:g}"] if told.get("sparsity") else []
    words += [f"taught: {told['loss']}"] if told.get("loss") else []
    return ", ".join(words)
