"""What each way of sparsity does to a small detector: AP, dead gammas, and what may be cut.

    YOLO_SLIM_RUNS=~/runs python benchmarks/sparsity_digits.py

YOLOv3-nano on the built-in digits at 96 px, trained for 10 epochs, then sparse for 8 more at the
strength that the arm names, or else at one. `free` is the share of channels that may go for 0.005
of the AP, before any training after the cut, and `macs` what that cut leaves of the network's work.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from measured import write_rows

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import totals
from yolo_slim.prune.place import plan_ratio
from yolo_slim.train.checkpoint import CHECKPOINT

HERE = Path(__file__).resolve().parent
CSV = HERE / "sparsity-digits.csv"
PICTURES = "--mosaic 0 --flip 0 --affine 0.3 --zoom 1.15 --shift 0.08 --colour 0.2 --workers 0"
S, EPOCHS, SEED = 0.1, 8, 0  # S of every arm that names no other
ARMS = {
    "constant": "",
    "global": "--sparsity-schedule global",
    "local": "--sparsity-schedule local",
    "sign": "--sparsity-step sign",
    "group": "--sparsity-penalty group",
    "local group": "--sparsity-schedule local --sparsity-penalty group",
    "local macs": "--sparsity-schedule local --sparsity-weight macs",
    "local group macs": (
        "--sparsity-schedule local --sparsity-penalty group --sparsity-weight macs"
    ),
    "local macs, S 0.03": "--sparsity-schedule local --sparsity-weight macs --sparsity 0.03",
    "local, S 0.03": "--sparsity-schedule local --sparsity 0.03",
}


def tool(command: str, folder: Path) -> None:
    verb, *options = command.split()
    done = [sys.executable, str(HERE.parent / f"tools/{verb}.py"), *options]
    subprocess.run(done, check=True, cwd=folder)


def row(name: str, out: Path) -> dict[str, object]:
    bundle = load_bundle(out / "bundle")
    found = json.loads((out / "sparsity.json").read_text())
    ap = found["ap"]
    share = totals(plan_ratio(bundle, ap["free"]).narrowed).macs / totals(bundle.cfg).macs
    return {
        "arm": name, "sparsity": float(name.partition("S ")[2] or S), "epochs": EPOCHS,
        "AP": round(ap["curve"][0]["AP"], 4),
        "dead_gammas": round(found["dead_below_layer_mean"]["0.01"], 4),
        "free": round(ap["free"], 4), "knee": ap["knee"] and round(ap["knee"], 4),
        "macs": round(share, 4),
    }  # fmt: skip


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "sparsity-digits"
    runs.mkdir(parents=True, exist_ok=True)
    data = f"--data digits/digits.yaml --size 96 --seed {SEED} {PICTURES}"
    if not (runs / "digits").exists():
        tool("data digits --out digits", runs)
    if not (runs / "teacher/bundle").exists():
        tool(
            f"train yolov3-nano {data} --anchors fit --iou-thresh 0.25 --epochs 10 --lr 3e-3 "
            "--out teacher",
            runs,
        )
    rows: list[dict[str, object]] = []
    if CSV.exists():
        rows += csv.DictReader(CSV.open())
    for name, options in ARMS.items():
        if any(done["arm"] == name for done in rows):
            continue
        out = name.replace(",", "").replace(" ", "-")
        if not (runs / out / "bundle").exists():
            tool(
                f"train teacher/bundle {data} --epochs {EPOCHS} --lr 2e-3 --sparsity {S} "
                f"{options} --out {out}"
                + (" --resume" if (runs / out / "checkpoints" / CHECKPOINT).exists() else ""),
                runs,
            )
        rows.append({**row(name, runs / out), "seed": SEED})
        write_rows(CSV, rows)


if __name__ == "__main__":
    main()
