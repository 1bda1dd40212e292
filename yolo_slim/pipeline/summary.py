"""What a finished compression has to say: the content of its page, and its table."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.data.dataset import coco_ground_truth
from yolo_slim.data.image import read_image
from yolo_slim.evaluate.coco import ClassAP, per_class_ap
from yolo_slim.files import write_csv
from yolo_slim.pipeline.circumstances import circumstances
from yolo_slim.pipeline.compress import Compression
from yolo_slim.pipeline.prune_document import PLAN
from yolo_slim.pipeline.recipe_steps import FactorizeStep, PruneStep, TrainStep
from yolo_slim.pipeline.scoring import detect_all
from yolo_slim.pipeline.step_folder import ONNX, Done
from yolo_slim.report.model import ClassRow, Report
from yolo_slim.report.plan_tables import PlanTables
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.video.draw import draw

N_PICTURES = 4
SHOWN_CONF = 0.3
CURVES = (
    "loss", "box", "objectness", "classes", "overhaul", "teacher_objectness", "teacher_classes",
    "teacher_boxes", "AP", "AP50",
)  # fmt: skip
"""Columns of a training's log that the page draws."""


def as_report(run: Compression) -> Report:
    """Everything the page shows of a finished run."""
    runnable = [done for done in run.steps if (done.folder / ONNX).is_file()]
    first = runnable[0]
    last = next(done for done in reversed(runnable) if done.kept)
    return Report(
        title=run.recipe.title,
        summary=_headline(first, last),
        recipe=run.recipe_text,
        circumstances=circumstances(run.recipe.seed, run.threads),
        steps=run.rows,
        classes=_classes(run, first, last),
        gammas=_gammas(run),
        plans=_plans(run),
        curves=_curves(run),
        pictures=_pictures(run, first, last),
        notes=[
            "AP is measured on the validation images with every step, which also guided no choice "
            "of weights: the average of the last epochs is taken as it is.",
            f"Latency: median for one image in ONNX Runtime, {run.threads} threads, the "
            "models timed in alternation; resizing and suppression are not counted.",
        ],
    )


def table_rows(run: Compression) -> list[dict[str, Any]]:
    """One dictionary a step, with the circumstances in each."""
    told = circumstances(run.recipe.seed, run.threads)
    return [{"recipe": run.recipe.title, **asdict(row), **told} for row in run.rows]


def write_table(path: Path, run: Compression) -> None:
    """The table as CSV: numbers travel with their circumstances."""
    write_csv(path, table_rows(run))


def _headline(first: Done, last: Done) -> str:
    a, b = first.row, last.row
    parts = []
    if a.macs and b.macs:
        parts.append(f"{b.macs / a.macs:.1%} of the MACs")
    if a.file_bytes and b.file_bytes:
        parts.append(f"{b.file_bytes / a.file_bytes:.1%} of the file")
    if a.latency_ms and b.latency_ms:
        parts.append(f"{b.latency_ms / a.latency_ms:.0%} of the latency")
    if a.AP is not None and b.AP is not None:
        parts.append(f"AP {a.AP:.3f} -> {b.AP:.3f}")
    return f"From {first.name} to {last.name}: " + ", ".join(parts) + "."


def _gammas(run: Compression) -> dict[str, np.ndarray]:
    """|gamma| before the first sparse training and after the last."""
    before = run.start
    shown: dict[str, np.ndarray] = {}
    for done in run.steps:
        step = run.asked.get(done.name)
        if not done.kept:
            continue
        if isinstance(step, TrainStep) and step.sparsity:
            shown.setdefault("before sparsity", _all_gammas(before))
            shown["after sparsity"] = _all_gammas(done.bundle)
        before = done.bundle
    return shown


def _all_gammas(bundle: Bundle) -> np.ndarray:
    gammas = [v.abs().numpy() for k, v in bundle.weights.items() if k.endswith("bn.weight")]
    return np.concatenate(gammas) if gammas else np.zeros(0)


def _plans(run: Compression) -> dict[str, PlanTables]:
    """What each step that prunes or factorizes has decided, from its folder."""
    readers = {PruneStep: PlanTables.of, FactorizeStep: PlanTables.of_factors}
    return {
        done.name: read(json.loads((done.folder / PLAN).read_text()))
        for done in run.steps
        for kind, read in readers.items()
        if isinstance(run.asked.get(done.name), kind) and (done.folder / PLAN).is_file()
    }


def _curves(run: Compression) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Loss and AP over the epochs of every training step."""
    curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for done in run.steps:
        shown: dict[str, tuple[list[float], list[float]]] = {}
        # A resumed training has one log a part: metrics-000.csv, ..., metrics.csv.
        last = done.folder / "metrics.csv"
        for path in (*sorted(done.folder.glob("metrics-*.csv")), last):
            if path.is_file():
                _read_log(path, shown)
        if not shown:
            continue
        curves[done.name] = shown
    return curves


def _read_log(path: Path, shown: dict[str, tuple[list[float], list[float]]]) -> None:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for key in CURVES:
                if row.get(key):
                    epochs, values = shown.setdefault(key, ([], []))
                    epochs.append(float(row["epoch"]) + 1)
                    values.append(float(row[key]))


def _classes(run: Compression, first: Done, last: Done) -> list[ClassRow]:
    data = run.val_data
    tables: list[dict[str, ClassAP]] = []
    for done in (first, last):
        detector = Detector(OnnxSession(done.folder / ONNX, run.threads))
        found = detect_all(detector, data)
        tables.append(per_class_ap(coco_ground_truth(data), found, data.category_ids))
    return [
        ClassRow(name, tables[0][name].n_boxes, tables[0][name].AP, tables[1][name].AP)
        for name in tables[0]
    ]


def _pictures(run: Compression, first: Done, last: Done) -> list[tuple[str, np.ndarray]]:
    data = run.val_data
    chosen = [s for s in data.samples if len(s.class_ids)][:N_PICTURES]
    images = [read_image(sample.path) for sample in chosen]
    drawn = []
    for done in (first, last):
        session = OnnxSession(done.folder / ONNX, run.threads)
        found = Detector(session, conf=SHOWN_CONF)(images)
        drawn.append(
            [
                (f"{done.name}: {s.path.name}", draw(image, d, data.class_names))
                for s, image, d in zip(chosen, images, found, strict=True)
            ]
        )
    return [picture for pair in zip(*drawn, strict=True) for picture in pair]
