"""Folders of finished runs, made by hand: nothing is trained."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.report.model import StepRow
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

HEAD = 'title = "by hand"\n[model]\nzoo = "yolov3-nano"\n[data]\ndescription = "d.yaml"\n'
STEPS = """
[[step]]
verb = "train"
name = "teacher"
epochs = 2
[[step]]
verb = "repeat"
name = "slim"
times = 2
[[step.step]]
verb = "prune"
name = "cut"
ratio = 0.1
"""
ARMS = """
[compare]
seeds = {seeds}
[compare.train]
epochs = {epochs}
[[compare.arm]]
name = "alone"
[[compare.arm]]
name = "taught"
teacher = "teacher"
"""
MEASURED = ("AP", "AP50", "parameters", "macs", "seconds")
TOLD = {"device": "one CPU, 1 threads", "date": "today", "commit": "abc"}


def made_training(folder: Path, APs: Sequence[float] = (0.1, 0.3), **more: float) -> Path:
    """A run of train, its AP measured after every epoch. more: of its settings."""
    cfg = build("yolov3-nano", 2, 64)
    settings = {"epochs": len(APs), "batch_size": 8, "seed": 0, **more}
    bundle = Bundle(cfg, random_weights(cfg), class_names=("a", "b"))
    bundle.then("train", settings).save(folder / "bundle")
    losses = [
        {"AP": "", "epoch": k, "loss": 3.0 / (k + 1), "lr": 0.001, "box": 1.5, "step": 10 * k}
        for k in range(len(APs))
    ]
    scores = [dict.fromkeys(losses[0], "") | {"AP": AP, "epoch": k} for k, AP in enumerate(APs)]
    write_lines(folder / "metrics.csv", [*losses, *scores])
    (folder / "checkpoints").mkdir()
    state = {"yolo_slim": {"--lr": 0.001, "--size": "64x64", "--keep-zeros": None}}
    torch.save(state, folder / "checkpoints/last.ckpt")
    return folder


def made_compression(folder: Path) -> Path:
    """A run of compress whose second round was not kept."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(HEAD + STEPS)
    rows = [
        StepRow("teacher", "train 2 epochs", 1000, 9000, 4000, None, 0.5, 0.7, 3.0, "onnxruntime"),
        StepRow("slim-1-cut", "prune", 900, 8000, 3600, None, 0.49, 0.7, 1.0, "onnxruntime"),
        StepRow("slim-2-cut", "prune", 800, 7000, 3200, None, 0.2, 0.4, 1.0, "onnxruntime"),
    ]
    lines = []
    for number, row in zip((1, 2, 2), rows, strict=True):
        made_result(folder / f"{number:02d}-{row.name}", row)
        kept = row.name != "slim-2-cut"
        verb = row.verb if kept else f"{row.verb} (not kept)"
        said = asdict(row) | {"latency_ms": 2.5, "verb": verb, "kept": kept}
        lines.append({"recipe": "by hand", **said, **TOLD, "seed": 0})
    write_lines(folder / "table.csv", lines)
    return folder


def made_comparison(folder: Path, APs: Mapping[int, tuple[float, float]], epochs: int = 1) -> Path:
    """A run of compare. APs: seed -> AP of the arm `alone`, and of the arm `taught`."""
    folder.mkdir()
    arms = ARMS.format(seeds=list(APs), epochs=epochs)
    (folder / "recipe.toml").write_text(HEAD + STEPS + arms)
    made_result(folder / "01-teacher", StepRow("teacher"))
    lines = []
    for number, arm in enumerate(("alone", "taught"), start=1):
        for seed, pair in APs.items():
            row = StepRow(f"{arm}-{seed}", "train", 1000, 9000, 4000, AP=pair[number - 1],
                          AP50=0.7, seconds=2.0)  # fmt: skip
            made_result(folder / "arms" / f"{number:02d}-{row.name}", row)
            said = {name: getattr(row, name) for name in MEASURED}
            lines.append({"arm": arm, **said, **TOLD, "seed": seed})
    write_lines(folder / "arms.csv", lines)
    return folder


def made_result(folder: Path, row: StepRow) -> None:
    folder.mkdir(parents=True)
    (folder / "recipe-key.txt").write_text("key")
    (folder / "result.json").write_text(json.dumps(asdict(row)))


def write_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
