"""What a teacher adds to a training step: its own forward, and how much more.

    YOLO_SLIM_RUNS=~/runs python benchmarks/distill_step.py

Blood cells at 256 px, batch 8, all cores: the student's step alone, the teacher's forward alone,
and the step with the teacher, by features and by features and answers; everything in alternation.
A step is forward, loss, backward, optimizer and average; waiting for pictures is left out.
overhead: of the distilled step over the sum of the two.
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from from_scratch import CBC, HERE, run, split
from measured import write_rows

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import resize
from yolo_slim.distill.taps import match_taps
from yolo_slim.distill.teacher import Teacher
from yolo_slim.train.loop import has_bf16
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

CSV = HERE / "distill-step.csv"
SIZE, BATCH, ROUNDS, STEPS = 256, 8, 2, 12
PAIRS = [
    ("yolov3-lite-mobilenetv2", "yolov3-tiny"),
    ("yolov3-tiny", "yolov3-lite-mobilenetv2"),
    ("yolov3-lite-mobilenetv2", "yolov3"),
]
"""Student, teacher: light ones on both sides, and the teacher of most, a whole YOLOv3."""

LOSSES = {"features": "overhaul", "features and answers": "overhaul,logits"}


def bundle(name: str) -> Bundle:
    """Random weights: no number is faster than another."""
    cfg = resize(build(name, 3), SIZE, SIZE)
    return Bundle(cfg, random_weights(cfg), class_names=split("train").class_names)


def step_ms(student: Path, folder: Path, *words: object) -> float:
    """Of a whole step, without the wait for its pictures."""
    tool = "distill" if words else "train"
    told = run(
        [
            sys.executable, HERE.parent / f"tools/{tool}.py", student, "--images", CBC / "train",
            "--annotations", CBC / "annotations/train.json", "--out", folder / "step", "--size",
            SIZE, "--batch-size", BATCH, "--epochs", 9, "--profile-steps", STEPS, *words,
        ],
        folder / "step.log",
    )  # fmt: skip
    parts = {}
    for line in told.splitlines():
        cells = line.strip("│┃ ").split("│")
        if len(cells) == 3 and cells[2].strip().endswith("%"):
            parts[cells[0].strip()] = float(cells[1])
    parts.pop("data")
    return sum(parts.values())


def teacher_ms(student: Bundle, teacher: Bundle) -> float:
    """Of the teacher's forward on a batch that lies ready."""
    sections = {pair.teacher.section for pair in match_taps(student.cfg, teacher.cfg)}
    asked = Teacher(teacher, sections)
    images = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
        for _ in range(STEPS + 3):
            begun = time.perf_counter()
            asked(images)
            seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[3:])


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    folder = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "distill-step"
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for names in PAIRS:
        bundles = [bundle(name) for name in names]
        for name, made in zip(names, bundles, strict=True):
            made.save(folder / name)
        for number in range(ROUNDS):
            student = step_ms(folder / names[0], folder)
            teacher = teacher_ms(*bundles)
            for losses, words in LOSSES.items():
                distilled = step_ms(
                    folder / names[0], folder, "--teacher", folder / names[1], "--loss", words
                )
                rows.append(
                    {"student": names[0], "teacher": names[1], "losses": losses, "round": number,
                     "student_ms": round(student, 1), "teacher_ms": round(teacher, 1),
                     "distilled_ms": round(distilled, 1),
                     "overhead": round(distilled / (student + teacher) - 1, 3)}
                )  # fmt: skip
                write_rows(CSV, rows)
                print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
