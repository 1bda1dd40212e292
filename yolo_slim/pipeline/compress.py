"""Runs a recipe: each step leaves its bundle, a second call goes on where the first one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from yolo_slim.data.dataset import Dataset
from yolo_slim.errors import InputError
from yolo_slim.files import require_writable, whole_file
from yolo_slim.in_use import in_use
from yolo_slim.pipeline.circumstances import circumstances
from yolo_slim.pipeline.doable import require_doable
from yolo_slim.pipeline.recipe import Recipe
from yolo_slim.pipeline.recipe_file import read_recipe
from yolo_slim.pipeline.recipe_steps import (
    PruneStep,
    QuantizeStep,
    RepeatStep,
    SingleStep,
    TrainStep,
)
from yolo_slim.pipeline.start import digest, read_start
from yolo_slim.pipeline.step_folder import ONNX, RECIPE, Done, is_run, read_text
from yolo_slim.pipeline.steps import StepRunner
from yolo_slim.progress import advancing
from yolo_slim.report.model import StepRow
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import OnnxSession, default_threads


@dataclass(frozen=True)
class Compression:
    """A finished run of a recipe: `threads` are those of its measurements, `key` of its steps."""

    recipe: Recipe
    out: Path
    train_data: Dataset
    val_data: Dataset
    pictures: Dataset
    steps: tuple[Done, ...]
    threads: int
    key: str

    @property
    def rows(self) -> tuple[StepRow, ...]:
        return tuple(done.row for done in self.steps)

    @property
    def last(self) -> Done:
        """The step whose bundle is the result."""
        return next(done for done in reversed(self.steps) if done.kept)


def compress(recipe_path: Path, out: Path, console: Console, threads: int | None) -> Compression:
    """Does every step of the recipe that is not done yet, in `out`, and measures what came of it.

    Raises RecipeError, DataError or another InputError before anything is computed.
    """
    recipe = read_recipe(recipe_path)
    require_run(out)
    return _Runner(recipe, recipe_path.read_text(encoding="utf-8"), out, console, threads).run()


def require_run(out: Path) -> None:
    """Raises InputError for a folder that holds other things, OSError for one that cannot be
    written."""
    if not is_run(out):
        raise InputError(
            f"{out} exists and is no run of compress: nothing was written; choose another --out"
        )
    require_writable(out / RECIPE)


class _Runner:
    def __init__(
        self, recipe: Recipe, text: str, out: Path, console: Console, threads: int | None
    ) -> None:
        self.recipe, self.text, self.out, self.console = recipe, text, out, console
        self.threads = threads or default_threads()
        self.start = read_start(recipe, out, console)
        self.runner = StepRunner(recipe, self.start, out, console, self.threads)
        self.done: list[Done] = []
        self.bundle, self.key = self.start.bundle, self.start.key
        self.keys = [self.key]  # of all steps, those of rounds that are not kept, too

    def run(self) -> Compression:
        require_doable(self.recipe, self.start)
        with in_use(self.out):
            return self._run()

    def _run(self) -> Compression:
        with whole_file(self.out / RECIPE) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        if self.start.trained:
            self.done.append(self.runner.baseline(self.key))
        for number, step in enumerate(self.recipe.step, start=1):
            if isinstance(step, RepeatStep):
                self._rounds(number, step)
            else:
                self._step(number, step)
        return Compression(
            self.recipe, self.out, self.start.train_data, self.start.val_data, self.start.pictures,
            tuple(self._with_latency()), self.threads, self.key,
        )  # fmt: skip

    def _step(self, number: int, step: SingleStep) -> None:
        trains = isinstance(step, TrainStep) or (isinstance(step, QuantizeStep) and step.epochs)
        augment = self.recipe.augment.model_dump_json() if trains else ""
        timed = isinstance(step, PruneStep) and step.target_latency_ms is not None
        threads = str(self.threads) if timed else ""
        self.key = digest(self.key, step.model_dump_json(), augment, threads)
        self.keys.append(self.key)
        finished = self.runner.step(number, step, self.bundle, self.done, self.key)
        self.bundle = finished.bundle
        self.done.append(finished)

    def _rounds(self, number: int, repeat: RepeatStep) -> None:
        """Round after round, until AP falls further below the start than it may: what goes on is
        the last round before, and the one that fell too far stays in the table, as such."""
        before = next(done.row.AP for done in reversed(self.done) if done.kept)
        for round_number in range(1, repeat.times + 1):
            kept, kept_key, n_done = self.bundle, self.key, len(self.done)
            for step in repeat.step:
                name = repeat.round_name(round_number, step)
                self._step(number, step.model_copy(update={"name": name}))
            AP = self.done[-1].row.AP
            if before is None or AP is None or AP >= before - repeat.max_ap_drop:
                continue
            self.console.print(
                f"{repeat.name}: round {round_number} has AP {AP:.3f}, more than "
                f"{repeat.max_ap_drop:g} under {before:.3f}: what was before it goes on"
            )
            self.bundle, self.key = kept, kept_key
            self.done[n_done:] = [
                replace(done, row=replace(done.row, kept=False, verb=f"{done.row.verb} (not kept)"))
                for done in self.done[n_done:]
            ]
            return

    def _with_latency(self) -> list[Done]:
        path = self.out / "latency.json"
        known = _document(path)
        key = digest(*self.keys, str(self.threads))
        if known.get("key") != key:
            openers: dict[str, Callable[[], Any]] = {
                d.name: partial(OnnxSession, d.folder / ONNX, self.threads)
                for d in self.done
                if (d.folder / ONNX).is_file()
            }
            with advancing("latency at 1 image", self.console) as advance:
                measured = measure_latency(openers, progress=advance)
            told = circumstances(self.recipe.seed, self.threads)
            known = {
                "key": key, "median_ms": {n: m.median_ms for n, m in measured.items()},
                "told": {f"latency_{name}": told[name] for name in ("device", "date")},
            }  # fmt: skip
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        return [
            replace(
                d,
                row=replace(d.row, latency_ms=known["median_ms"].get(d.name)),
                circumstances={**d.circumstances, **known.get("told", {})},
            )
            for d in self.done
        ]


def _document(path: Path) -> dict[str, Any]:
    """What was kept in a file; nothing where it is damaged, or not there."""
    try:
        found = json.loads(read_text(path))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
