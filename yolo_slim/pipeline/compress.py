"""Runs a recipe: each step leaves its bundle, a second call goes on where the first one stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render, totals, with_anchors, with_iou_thresh, with_scale_x_y
from yolo_slim.console import note, warn
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.describe import read_dataset
from yolo_slim.data.digits import make_digits
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.files import require_writable, whole_file
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.models import ModelSource, load_model
from yolo_slim.pipeline.prune_step import require_possible, run_prune
from yolo_slim.pipeline.pruning import Surroundings
from yolo_slim.pipeline.recipe import (
    START,
    ExportStep,
    PruneStep,
    QuantizeStep,
    Recipe,
    SplitSpec,
    Step,
    TrainStep,
    read_recipe,
)
from yolo_slim.pipeline.scoring import (
    input_batches,
    network_scorer,
    require_boxes,
    require_classes,
    score,
)
from yolo_slim.pipeline.step_folder import (
    DATA,
    ONNX,
    RECIPE,
    Done,
    begin,
    finish,
    is_run,
    read_text,
)
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.report.model import StepRow
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import NetworkSession, OnnxSession, default_threads, default_workers
from yolo_slim.train.loop import train
from yolo_slim.train.progress import advancing
from yolo_slim.weights import network_of, random_weights


@dataclass(frozen=True)
class Compression:
    """A finished run of a recipe: `start` is the model before its first step, `threads` those of
    its measurements."""

    recipe: Recipe
    recipe_text: str
    out: Path
    start: Bundle
    train_data: Dataset
    val_data: Dataset
    steps: tuple[Done, ...]
    threads: int

    @property
    def rows(self) -> tuple[StepRow, ...]:
        return tuple(done.row for done in self.steps)


def compress(recipe_path: Path, out: Path, console: Console, threads: int | None) -> Compression:
    """Does every step of the recipe that is not done yet, in `out`, and measures what came of it.

    Raises RecipeError, DataError or another InputError before anything is computed.
    """
    recipe = read_recipe(recipe_path)
    if not is_run(out):
        raise InputError(
            f"{out} exists and is no run of compress: nothing was written; choose another --out"
        )
    require_writable(out / RECIPE)
    return _Runner(recipe, recipe_path.read_text(), out, console, threads).run()


class _Runner:
    def __init__(
        self, recipe: Recipe, text: str, out: Path, console: Console, threads: int | None
    ) -> None:
        self.recipe, self.text, self.out, self.console = recipe, text, out, console
        self.threads = threads or default_threads()
        self.train_data, self.val_data = self._datasets()
        self.start = self._start_model()
        self.trained_start = recipe.model.zoo is None and not self._is_random_cfg()
        self._training_set: TrainingSet | None = None

    def run(self) -> Compression:
        self._require_trained_before_use()
        self._require_reachable()
        self.out.mkdir(parents=True, exist_ok=True)
        with whole_file(self.out / RECIPE) as temporary:
            temporary.write_text(self.text)
        key = self._start_key()
        bundle, done = self.start, []
        if self.trained_start:
            done.append(self._baseline(key))
        for number, step in enumerate(self.recipe.step, start=1):
            key = _digest(key, step.model_dump_json(), self._augment_text(step))
            finished = self._step(number, step, bundle, done, key)
            bundle = finished.bundle
            done.append(finished)
        done = self._with_latency(done, key)
        return Compression(
            self.recipe, self.text, self.out, self.start, self.train_data, self.val_data,
            tuple(done), self.threads,
        )  # fmt: skip

    # --- what the steps start from ---------------------------------------------------------------

    def _datasets(self) -> tuple[Dataset, Dataset]:
        spec = self.recipe.data
        if spec.digits:
            folder = self.out / DATA / "digits"
            self.console.print(f"data: the built-in digits, in {folder}")
            make_digits(folder)
            return _splits(folder / "digits.yaml", None, None)
        return _splits(spec.description, spec.train, spec.val)

    def _start_model(self) -> Bundle:
        spec = self.recipe.model
        name = spec.zoo or str(spec.cfg or spec.bundle)
        source = ModelSource(name, weights=spec.weights, size_px=spec.size)
        n_classes = len(self.train_data.class_names)
        bundle = load_model(source, untrained=True, classes=n_classes)
        require_classes(bundle.cfg.n_classes, self.train_data, name)
        require_classes(bundle.cfg.n_classes, self.val_data, name)
        require_boxes(self.val_data)
        cfg = bundle.cfg
        if spec.iou_thresh is not None:
            cfg = with_iou_thresh(cfg, spec.iou_thresh)
        if spec.scale_x_y is not None:
            cfg = with_scale_x_y(cfg, spec.scale_x_y)
        if spec.anchors == "fit":
            anchors_wh = fitted_anchors(cfg, self.train_data, self.recipe.seed)
            cfg = with_anchors(cfg, [(round(w, 1), round(h, 1)) for w, h in anchors_wh])
        weights = bundle.weights
        if spec.zoo is not None:
            weights = random_weights(cfg, self.recipe.seed)
        return replace(
            bundle, cfg=cfg, weights=weights, class_names=tuple(self.train_data.class_names)
        )

    def _is_random_cfg(self) -> bool:
        return self.recipe.model.cfg is not None and self.recipe.model.weights is None

    def _require_trained_before_use(self) -> None:
        first = self.recipe.step[0]
        if not self.trained_start and not isinstance(first, TrainStep):
            raise InputError(
                f"step 1 ({first.name}) is {first.verb}, but the model starts at random weights: "
                "train it first, or name trained weights under [model]"
            )

    def _require_reachable(self) -> None:
        """Raises InputError for a target that no choice of channels reaches, before the training
        that leads to it. Of a second prune step the start is not known yet."""
        steps = enumerate(self.recipe.step, start=1)
        first = next(((n, step) for n, step in steps if isinstance(step, PruneStep)), None)
        if first is None:
            return
        number, step = first
        try:
            require_possible(self.start, step)
        except InputError as error:
            raise InputError(f"step {number} ({step.name}): {error}") from None

    def _start_key(self) -> str:
        data = self.recipe.data.model_dump_json()
        sizes = [len(self.train_data.samples), len(self.val_data.samples)]
        model = self.recipe.model.model_dump_json()
        cfg = render(self.start.cfg)
        stamp = ""
        for path in (self.recipe.model.weights, self.recipe.model.bundle):
            if path is not None:
                stamp += f"{path.stat().st_size} {path.stat().st_mtime_ns}"
        return _digest(data, str(sizes), model, cfg, str(self.recipe.seed), stamp)

    def _augment_text(self, step: Step) -> str:
        return self.recipe.augment.model_dump_json() if isinstance(step, TrainStep) else ""

    # --- one step --------------------------------------------------------------------------------

    def _baseline(self, key: str) -> Done:
        return self._cached(
            self.out / f"00-{START}", START, "start", key, lambda folder: self.start
        )

    def _step(self, number: int, step: Step, bundle: Bundle, done: list[Done], key: str) -> Done:
        folder = self.out / f"{number:02d}-{step.name}"
        if isinstance(step, TrainStep):
            teacher = next((d.bundle for d in done if d.name == step.teacher), None)
            if step.teacher == START:
                teacher = self.start
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
                folder, step.name, "prune", key, lambda f: self._prune(step, bundle)
            )
        if isinstance(step, QuantizeStep):
            return self._cached(
                folder, step.name, "quantize", key, lambda f: self._quantize(step, bundle)
            )
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
        return finish(folder, row, bundle)

    def _measured(
        self, folder: Path, name: str, verb: str, bundle: Bundle, export: ExportStep | None
    ) -> StepRow:
        """Size and COCO numbers. Float models and exports run in ONNX Runtime; what quantize
        leaves is a plan, whose rounding torch imitates."""
        total = totals(bundle.cfg)
        row = StepRow(name, verb, total.parameters, total.macs)
        if bundle.precision is not None and export is None:
            network = network_of(bundle.cfg, bundle.weights, bundle.precision)
            with self._progress(f"{name}: evaluate") as advance:
                numbers = score(Detector(NetworkSession(network)), self.val_data, advance)
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

    def _train(
        self, step: TrainStep, bundle: Bundle, teacher: Bundle | None, folder: Path
    ) -> Bundle:
        if self._training_set is None:
            self._training_set = TrainingSet(
                self.train_data,
                bundle.cfg.input_hw,
                bundle.cfg.resize_mode,
                self.recipe.augment.options(),
                channels=bundle.cfg.net.channels,
                seed=self.recipe.seed,
            )
            with self._progress("reading images") as advance:
                faults = self._training_set.warm(advance)
            if faults:
                warn(self.console, f"{len(faults)} images are left out: {'; '.join(faults[:5])}")
        return train(
            bundle,
            self._training_set,
            collate,
            step.settings(self.recipe.seed, default_workers()),
            folder,
            teacher=teacher,
            score=network_scorer(self.val_data),
            label=step.name,
            resume=True,
            console=self.console,
        )

    def _prune(self, step: PruneStep, bundle: Bundle) -> Bundle:
        around = Surroundings(
            self._progress, self.train_data, threads=self.threads, seed=self.recipe.seed
        )
        done = run_prune(bundle, step, around)
        for text in done.notes:
            note(self.console, text)
        return done.bundle

    def _quantize(self, step: QuantizeStep, bundle: Bundle) -> Bundle:
        n_images = min(step.images, len(self.train_data.samples))
        batches = input_batches(self.train_data, bundle.cfg, n_images, self.recipe.seed)
        with self._progress("calibrate") as advance:
            return quantize(bundle, batches, lambda done: advance(done, n_images))

    # --- at the end ------------------------------------------------------------------------------

    def _with_latency(self, done: list[Done], key: str) -> list[Done]:
        path = self.out / "latency.json"
        known = json.loads(read_text(path) or "{}")
        if known.get("key") != key:
            openers: dict[str, Callable[[], Any]] = {
                d.name: partial(OnnxSession, d.folder / ONNX, self.threads)
                for d in done
                if (d.folder / ONNX).is_file()
            }
            with self._progress("latency at 1 image") as advance:
                measured = measure_latency(openers, progress=advance)
            known = {"key": key, "median_ms": {n: m.median_ms for n, m in measured.items()}}
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(known, indent=1))
        return [
            replace(d, row=replace(d.row, latency_ms=known["median_ms"].get(d.name))) for d in done
        ]

    def _progress(self, text: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return advancing(text, self.console)


def _splits(
    description: Path | None, train_split: SplitSpec | None, val_split: SplitSpec | None
) -> tuple[Dataset, Dataset]:
    training = read_dataset(description, *_pair(train_split), "train")
    names = training.class_names  # numbers them alike where annotations say classes in words
    return training, read_dataset(description, *_pair(val_split), "val", names=names)


def _pair(split: SplitSpec | None) -> tuple[Path | None, Path | None]:
    return (split.images, split.annotations) if split else (None, None)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
