"""From scratch on blood cells at 320 px, beside Ultralytics at equal wall-clock.

    YOLO_SLIM_RUNS=~/runs python benchmarks/from_scratch.py [ARM ...]      # all arms; hours
    python benchmarks/from_scratch.py --list

Each arm trains alone on all cores for its minutes (or epochs), then detections on the 60 test
pictures are scored by this repository for both sides: confidence 0.001, NMS 0.7, at most 300 boxes.
An arm that benchmarks/from-scratch.csv has already is not run again. Ultralytics (AGPL) goes into a
virtual environment of its own under YOLO_SLIM_RUNS.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measured import write_rows

from yolo_slim.bundle import load_bundle
from yolo_slim.data.coco import read_coco
from yolo_slim.data.convert import convert
from yolo_slim.data.dataset import Dataset, coco_ground_truth
from yolo_slim.detections import Detections
from yolo_slim.evaluate.coco import coco_numbers
from yolo_slim.pipeline.scoring import detect_all
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.weights import network_of

HERE = Path(__file__).resolve().parent
CBC = HERE.parents[1] / "shared/data/cbc"
CSV = HERE / "from-scratch.csv"
SIZE = 320
ULTRALYTICS = "ultralytics==8.4.190"

OURS = (
    "--size 320 --anchors fit --iou-thresh 0.3 --batch-size 8 --lr 0.004 --objectness iou "
    "--cells neighbours --box-weight 10 --mosaic 0.3 --affine 0.7 --zoom 1.4 --shift 0.1 "
    "--colour 0.5"
).split()  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One training. minutes: its wall-clock; else epochs."""

    name: str
    side: str
    model: str
    minutes: float | None = None
    epochs: int | None = None


ARMS = [
    Arm(f"{side} {model} {minutes} min", side, model, minutes=minutes)
    for minutes in (10, 20)
    for side, model in (
        ("yolo_slim", "yolov3-tiny"),
        ("ultralytics", "yolov3-tiny.yaml"),
        ("yolo_slim", "yolov3-lite-mobilenetv2"),
        ("ultralytics", "yolo11n.yaml"),
    )
] + [
    Arm(f"{side} {model} {epochs} epochs", side, model, epochs=epochs)
    for side, model, epochs in (
        ("yolo_slim", "yolov3", 50),
        ("yolo_slim", "yolov3-tiny", 50),
        ("yolo_slim", "yolov3-lite-mobilenetv2", 50),
        ("yolo_slim", "yolov3-lite-mobilenetv2", 100),
        ("ultralytics", "yolo11n.yaml", 100),
        ("ultralytics", "yolov3-tiny.yaml", 100),
    )
]


def split(name: str) -> Dataset:
    return read_coco(CBC / name, CBC / f"annotations/{name}.json")


def numbers(found: dict[int, Detections], data: Dataset) -> dict[str, float]:
    return coco_numbers(coco_ground_truth(data), found, data.category_ids)


def run(command: Sequence[str | Path], log: Path) -> str:
    """What the command prints; the log has it, too."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed: see {log}")
    return done.stdout


# --- our side -------------------------------------------------------------------------------------


def ours(arm: Arm, folder: Path) -> dict[str, Any]:
    out = folder / "run"
    epochs = arm.epochs or _epochs_in(arm, folder)
    # The minutes are the comparison: only a training by epochs may go on after an interruption.
    again = arm.epochs is not None and (out / "checkpoints/last.ckpt").exists()
    begun = time.perf_counter()
    goes_on = ["--resume"] if again else []
    run([*_train(arm, out), "--epochs", str(epochs), *goes_on], folder / "train.log")
    seconds = None if again else round(time.perf_counter() - begun, 1)
    bundle = load_bundle(out / "bundle")
    session = NetworkSession(network_of(bundle.cfg, bundle.weights))
    data = split("test")
    found = detect_all(Detector(session, conf=0.001, nms_iou=0.7), data)
    n_parameters = sum(v.numel() for v in bundle.weights.values())
    row = {"seconds": seconds, "epochs": epochs, "parameters": n_parameters}
    return row | numbers(found, data)


def _train(arm: Arm, out: Path) -> list[str | Path]:
    return [
        sys.executable, HERE.parent / "tools/train.py", arm.model, "--images", CBC / "train",
        "--annotations", CBC / "annotations/train.json", "--out", out, *OURS,
    ]  # fmt: skip


def _epochs_in(arm: Arm, folder: Path) -> int:
    """As many as fit into the arm's minutes at the speed of its first steps."""
    told = run(
        [*_train(arm, folder / "speed"), "--epochs", "9", "--profile-steps", "60"],
        folder / "speed.log",
    )
    rate = float(told.strip().splitlines()[-1].split()[0])
    start_seconds = 12  # reading pictures, the first steps, the last state
    assert arm.minutes is not None
    return int((60 * arm.minutes - start_seconds) * rate / len(split("train")))


# --- the other side -------------------------------------------------------------------------------


def theirs(arm: Arm, folder: Path) -> dict[str, Any]:
    python = their_python(folder.parent)
    side = HERE / "ultralytics_side.py"
    data = yolo_form(folder.parent)
    budget = ["--epochs", arm.epochs] if arm.epochs else ["--minutes", arm.minutes]
    told = run(
        [python, side, "train", arm.model, data, *map(str, budget), "--out", folder / "run"],
        folder / "train.log",
    )
    trained = json.loads(told.strip().splitlines()[-1])
    boxes = folder / "detections.json"
    run(
        [python, side, "detect", trained.pop("weights"), CBC / "test", "--out", boxes],
        folder / "detect.log",
    )
    data_set = split("test")
    by_name = json.loads(boxes.read_text())
    found = {}
    for sample in data_set.samples:
        table = np.array(by_name[sample.path.name], np.float32).reshape(-1, 6)
        found[sample.image_id] = Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))
    return trained | numbers(found, data_set)


def their_python(runs: Path) -> Path:
    environment = runs / "ultralytics-environment"
    python = environment / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin/pip", "install", "-q", ULTRALYTICS], check=True)
    return python


def yolo_form(runs: Path) -> Path:
    """The same pictures with YOLO's labels; the description's path."""
    folder = runs / "cbc-yolo"
    if not (folder / "data.yaml").exists():
        sides = {"train": split("train"), "val": split("test")}
        convert(sides, "yolo", folder)
    return folder / "data.yaml"


def main() -> None:
    if "--list" in sys.argv:
        print("\n".join(arm.name for arm in ARMS))
        return
    runs = Path(os.environ.get("YOLO_SLIM_RUNS", "")).expanduser() / "from-scratch"
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    wanted = sys.argv[1:] or [arm.name for arm in ARMS]
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for arm in ARMS:
        if arm.name not in wanted or any(row["arm"] == arm.name for row in rows):
            continue
        folder = runs / arm.name.replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        result = ours(arm, folder) if arm.side == "yolo_slim" else theirs(arm, folder)
        rows.append({"arm": arm.name, **result, "ultralytics": ULTRALYTICS.split("==")[1]})
        write_rows(CSV, rows)
        print(f"{arm.name}: AP {result['AP']:.4f} AP50 {result['AP50']:.4f}")


if __name__ == "__main__":
    main()
