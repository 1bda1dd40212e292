"""A COCO detector fine-tuned on fruit, beside the same network from scratch at equal epochs.

    YOLO_SLIM_RUNS=~/runs python benchmarks/fine_tune.py

yolo-fastest-1.1-xl at its own 320 px; 240 training and 60 test pictures of apples, bananas and
oranges, which are three of COCO's 80 classes. Fine-tuning keeps the heads' rows of boxes and
objectness and the rows of the three classes by their names. Both sides have the same settings.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

from measured import write_rows

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import read_cfg, render, with_classes
from yolo_slim.data.coco import read_coco
from yolo_slim.pipeline.scoring import score
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.train.checkpoint import CHECKPOINT
from yolo_slim.weights import network_of

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
FRUIT = SHARED / "data/fruit"
NETWORK = SHARED / "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl"
CSV = HERE / "fine-tune.csv"
EPOCHS, SEEDS = 30, (0, 1)


def train(start: str, seed: int, out: Path) -> None:
    names = SHARED / "names/coco.names"
    weights = ["--weights", f"{NETWORK}.weights", "--names", names] if start == "coco" else []
    model = f"{NETWORK}.cfg" if start == "coco" else out.parent / "fruit.cfg"
    command = [
        sys.executable, HERE.parent / "tools/train.py", model, *weights, "--images",
        FRUIT / "train", "--annotations", FRUIT / "annotations/train.json", "--epochs", EPOCHS,
        "--batch-size", 16, "--mosaic", 0.5, "--seed",
        seed, "--out", out,
    ]  # fmt: skip
    if (out / "checkpoints" / CHECKPOINT).exists():
        command.append("--resume")
    subprocess.run([str(part) for part in command], check=True)


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "fine-tune"
    runs.mkdir(parents=True, exist_ok=True)
    # What a user of Darknet would write by hand: heads for three classes.

    (runs / "fruit.cfg").write_text(render(with_classes(read_cfg(Path(f"{NETWORK}.cfg")), 3)))
    test = read_coco(FRUIT / "test", FRUIT / "annotations/test.json")
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for seed in SEEDS:
        for start in ("coco", "scratch"):
            if any(row["start"] == start and int(row["seed"]) == seed for row in rows):
                continue
            out = runs / f"{start}-{seed}"
            begun = time.perf_counter()
            if not (out / "bundle").exists():
                train(start, seed, out)
            bundle = load_bundle(out / "bundle")
            session = NetworkSession(network_of(bundle.cfg, bundle.weights))
            numbers = score(Detector(session), test)
            rows.append(
                {
                    "network": NETWORK.name, "data": "fruit", "start": start, "epochs": EPOCHS,
                    "AP": numbers["AP"], "AP50": numbers["AP50"],
                    "seconds": round(time.perf_counter() - begun, 1), "seed": seed,
                }
            )  # fmt: skip
            write_rows(CSV, rows)
            print(rows[-1])


if __name__ == "__main__":
    main()
