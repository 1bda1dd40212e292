"""One step of a recipe: done in its folder, and measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, totals
from yolo_slim.console import note, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.loader import TrainingSet
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.files import whole_file
from yolo_slim.pipeline.circumstances import circumstances
from yolo_slim.pipeline.detecting import DetectorData, train_detector
from yolo_slim.pipeline.factorizing import factorize_document, run_factorize
from yolo_slim.pipeline.prune_document import PLAN, prune_document
from yolo_slim.pipeline.prune_step import run_prune
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.quantize_options import NO_TEACHER, SELF
from yolo_slim.pipeline.quantizing import after_training, run_quantize, told_share
from yolo_slim.pipeline.recipe import START, Recipe
from yolo_slim.pipeline.recipe_steps import (
    ExportStep,
    FactorizeStep,
    PruneStep,
    QuantizeStep,
    SingleStep,
    TrainStep,
)
from yolo_slim.pipeline.scoring import score, score_bundle
from yolo_slim.pipeline.size import ModelSize
from yolo_slim.pipeline.start import Start
from yolo_slim.pipeline.step_folder import ONNX, Done, begin, finish
from yolo_slim.pipeline.teaching import Lessons
from yolo_slim.progress import advancing
from yolo_slim.report.model import StepRow
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession, default_workers
from yolo_slim.train.settings import TrainSettings


class StepRunner:
    """Does the steps of a recipe in `out`, each from the bundle that it is given."""

    def __init__(
        self, recipe: Recipe, start: Start, out: Path, console: Console, threads: int
    ) -> None:
        self.recipe, self.start, self.out = recipe, start, out
        self.console, self.threads = console, threads
        self.train_data, self.val_data = start.train_data, start.val_data
        self._training_sets: dict[int, TrainingSet] = {}

    def baseline(self, key: str) -> Done:
        """The model before the first step, measured."""
        return self._cached(
            self.out / f"00-{START}", START, "start", key, lambda folder: self.start.bundle
        )

    def step(
        self, number: int, step: SingleStep, bundle: Bundle, done: list[Done], key: str
    ) -> Done:
        """number: of the step in the recipe. done: those before it, by which it names a teacher.
        key: of this step, those before it and their start."""
        folder = self.out / f"{number:02d}-{step.name}"
        if isinstance(step, TrainStep):
            teacher = self._teacher(step, done)
            what = (
                f"train {step.epochs} epochs"
                + (f", sparsity {step.sparsity:g}" if step.sparsity else "")
                + (f", taught by {step.teacher}" if teacher else "")
            )
            return self._cached(
                folder, step.name, what, key, lambda f: self._train(step, bundle, teacher, f)
            )
        if isinstance(step, PruneStep):
            return self._cached(
                folder, step.name, "prune", key, lambda f: self._prune(step, bundle, f)
            )
        if isinstance(step, FactorizeStep):
            return self._cached(
                folder, step.name, f"factorize {step.method}", key,
                lambda f: self._factorize(step, bundle, f),
            )  # fmt: skip
        if isinstance(step, QuantizeStep):
            teacher = self._teacher(step, done) if step.teacher not in (SELF, NO_TEACHER) else None
            trained = f", train {step.epochs} epochs" if step.epochs else ""
            return self._cached(
                folder, step.name, f"quantize{trained}", key,
                lambda f: self._quantize(step, bundle, teacher, f),
            )  # fmt: skip
        what = f"export_onnx {'INT8 ' + step.int8 if step.int8 else 'float'}"
        return self._cached(folder, step.name, what, key, lambda f: bundle, export=step)

    def _cached(
        self,
        folder: Path,
        name: str,
        verb: str,
        key: str,
        make: Callable[[Path], Bundle],
        export: ExportStep | None = None,
    ) -> Done:
        """A step done for this key is read; one that was begun goes on; else it starts anew."""
        if (before := begin(folder, key)) is not None:
            self.console.print(f"{folder.name}: done before", style="dim")
            return before
        self.console.print(f"{folder.name}: {verb}", style="bold")
        started = time.perf_counter()
        bundle = make(folder)
        seconds = round(time.perf_counter() - started, 1)
        row = replace(self._measured(folder, name, verb, bundle, export), seconds=seconds)
        self.console.print(
            f"{folder.name}: AP {row.AP:.3f}  AP50 {row.AP50:.3f}  ({row.seconds:.0f} s)"
        )
        return finish(folder, row, bundle, circumstances(self.recipe.seed, self.threads))

    def _measured(
        self, folder: Path, name: str, verb: str, bundle: Bundle, export: ExportStep | None
    ) -> StepRow:
        """ModelSize and COCO numbers. Float models and exports run in ONNX Runtime; what quantize
        leaves is a plan, whose rounding torch imitates."""
        total = totals(bundle.cfg)
        row = StepRow(name, verb, total.parameters, total.macs)
        if bundle.precision is not None and export is None:
            with self._progress(f"{name}: evaluate") as advance:
                numbers = score_bundle(bundle, self.val_data, advance)
            return replace(
                row, AP=numbers["AP"], AP50=numbers["AP50"], runtime="torch, imitated INT8"
            )
        path = folder / ONNX
        dynamic = export.dynamic_batch if export else False
        export_onnx(bundle, path, export.int8 if export else None, dynamic)
        with self._progress(f"{name}: evaluate") as advance:
            numbers = score(Detector(OnnxSession(path, self.threads)), self.val_data, advance)
        return replace(
            row,
            AP=numbers["AP"],
            AP50=numbers["AP50"],
            file_bytes=path.stat().st_size,
            runtime="onnxruntime",
        )

    def _teacher(self, step: TrainStep | QuantizeStep, done: list[Done]) -> Bundle | None:
        teacher = next((d.bundle for d in done if d.name == step.teacher), None)
        if teacher is None and step.teacher == START:
            teacher = self.start.bundle
        if teacher is None and step.teacher is not None:
            raise InputError(f"step {step.name}: its teacher {step.teacher!r} is not there")
        return teacher

    def _train(
        self, step: TrainStep, bundle: Bundle, teacher: Bundle | None, folder: Path
    ) -> Bundle:
        settings = step.settings(self.recipe.seed, default_workers(), bundle.cfg)
        return self._taught(
            step.name, bundle, teacher, step.lessons(), settings, folder, step.close_mosaic
        )

    def _taught(
        self, name: str, bundle: Bundle, teacher: Bundle | None, lessons: Lessons,
        settings: TrainSettings, folder: Path, close_mosaic: int | None,
    ) -> Bundle:  # fmt: skip
        learned = DetectorData(
            self.train_data, self.start.pictures, self.val_data,
            lambda data: self._items(data, bundle.cfg),
        )  # fmt: skip
        return train_detector(
            bundle, teacher, lessons, settings, learned, folder,
            label=name, resume=True, console=self.console, close_mosaic=close_mosaic,
        )  # fmt: skip

    def _items(self, data: Dataset, cfg: Cfg) -> TrainingSet:
        """What all trainings on these data share: pictures are read once."""
        if id(data) in self._training_sets:
            return self._training_sets[id(data)]
        items = TrainingSet(
            data, cfg.input_hw, cfg.resize_mode, self.recipe.augment.options(cfg),
            channels=cfg.net.channels, seed=self.recipe.seed,
        )  # fmt: skip
        with self._progress("reading images") as advance:
            faults = items.warm(advance)
        if faults:
            warn(self.console, f"{len(faults)} images are left out: {'; '.join(faults[:5])}")
        self._training_sets[id(data)] = items
        return items

    def _prune(self, step: PruneStep, bundle: Bundle, folder: Path) -> Bundle:
        done = run_prune(bundle, step, replace(self._around(), engine=step.runtime))
        sizes = ModelSize.of(bundle), ModelSize.of(done.bundle)
        self._keep_plan(folder, done.notes, prune_document(done, sizes))
        return done.bundle

    def _factorize(self, step: FactorizeStep, bundle: Bundle, folder: Path) -> Bundle:
        done = run_factorize(bundle, step, self._around())
        sizes = ModelSize.of(bundle), ModelSize.of(done.bundle)
        self._keep_plan(folder, done.plan.notes, factorize_document(done, sizes))
        return done.bundle

    def _around(self) -> Surroundings:
        return Surroundings(
            self._progress, self.train_data, threads=self.threads, seed=self.recipe.seed
        )

    def _keep_plan(self, folder: Path, notes: Sequence[str], document: Mapping[str, Any]) -> None:
        for text in notes:
            note(self.console, text)
        with whole_file(folder / PLAN) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")

    def _quantize(
        self, step: QuantizeStep, bundle: Bundle, teacher: Bundle | None, folder: Path
    ) -> Bundle:
        done = run_quantize(
            bundle, step, self.train_data, self.val_data, self._progress, self.recipe.seed
        )
        for text in done.warnings:
            warn(self.console, text)
        self.console.print(told_share(done.bundle))
        if not step.epochs:
            return done.bundle
        settings = TrainSettings(
            **step.training(), seed=self.recipe.seed, workers=default_workers(), validations=3
        )
        taught_by = bundle if step.teacher == SELF else teacher
        trained = self._taught(
            step.name, done.bundle, taught_by, Lessons(), settings, folder, close_mosaic=step.epochs
        )
        return after_training(trained, step, self.train_data, self._progress, self.recipe.seed)

    def _progress(self, text: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return advancing(text, self.console)
