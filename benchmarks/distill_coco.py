"""A trained COCO student and a trained COCO teacher: a short run on 128 pictures harms nothing.

    YOLO_SLIM_RUNS=~/runs python benchmarks/distill_coco.py

yolo-fastest-1.1 taught by yolo-fastest-1.1-xl, and trained alike without it; AP on the 128 pictures
of dev_val2017 before and after. Each training is killed once, after its first state was kept, and
goes on with --resume.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

from fine_tune import HERE, SHARED
from from_scratch import run
from measured import write_rows

from yolo_slim.bundle import load_bundle
from yolo_slim.data.coco import read_coco
from yolo_slim.pipeline.scoring import score_bundle
from yolo_slim.train.checkpoint import CHECKPOINT

CSV = HERE / "distill-coco.csv"
COCO = SHARED / "data/coco"
NETWORKS = SHARED / "weights/yolo-fastest/yolo-fastest-1.1_coco"
STUDENT, TEACHER = "yolo-fastest-1.1", "yolo-fastest-1.1-xl"
EPOCHS, LRS, SEEDS = 10, (5e-5, 1e-5), (0, 1, 2)
LESSONS = {"alone": (), "taught": ("--teacher", TEACHER, "--loss", "overhaul,logits")}


def train(arm: str, lr: float, seed: int, folder: Path) -> Path:
    """The folder of its bundle; killed once on the way."""
    out = folder / f"{arm}-{lr:g}-{seed}"
    state = out / "checkpoints" / CHECKPOINT
    tool = "distill" if LESSONS[arm] else "train"
    words = [str(folder / word) if word == TEACHER else word for word in LESSONS[arm]]
    command = [
        sys.executable, HERE.parent / f"tools/{tool}.py", folder / STUDENT, *words, "--images",
        COCO / "dev_train2017", "--annotations", COCO / "annotations/dev_train2017.json", "--out",
        out, "--epochs", EPOCHS, "--lr", lr, "--batch-size", 8, "--mosaic", 0, "--seed", seed,
    ]  # fmt: skip
    command = [str(word) for word in command]
    if (out / "bundle").exists():
        return out / "bundle"
    if not state.exists():
        begun = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while begun.poll() is None and not state.exists():
            time.sleep(0.2)
        begun.kill()
        begun.wait()
    run([*command, "--resume"], folder / f"{out.name}.log")
    return out / "bundle"


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    folder = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "distill-coco"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (STUDENT, TEACHER):
        if not (folder / name).exists():
            words = [f"{NETWORKS / name}.cfg", "--weights", f"{NETWORKS / name}.weights"]
            names = ["--names", SHARED / "names/coco.names"]
            tool = HERE.parent / "tools/convert.py"
            run([sys.executable, tool, *words, *names, "--out", folder / name], folder / "log")
    val = read_coco(COCO / "dev_val2017", COCO / "annotations/dev_val2017.json")
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    done = {(row["arm"], float(row["lr"]), int(row["seed"])) for row in rows}
    trained = [(arm, lr, seed) for lr in LRS for seed in SEEDS for arm in LESSONS]
    for arm, lr, seed in [("before", LRS[0], 0), *trained]:
        if (arm, lr, seed) in done:
            continue
        place = folder / STUDENT if arm == "before" else train(arm, lr, seed, folder)
        numbers = score_bundle(load_bundle(place), val)
        rows.append(
            {"arm": arm, "student": STUDENT, "teacher": TEACHER, "epochs": EPOCHS, "lr": lr,
             "AP": numbers["AP"], "AP50": numbers["AP50"], "seed": seed}
        )  # fmt: skip
        write_rows(CSV, rows)
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
