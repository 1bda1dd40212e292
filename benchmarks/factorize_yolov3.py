"""YOLOv3 on blood cells at 256 px, its convolutions factored, before and after a short training.

    YOLO_SLIM_RUNS=~/runs python benchmarks/factorize_yolov3.py [--epochs N] [ARM ...]     # hours
    python benchmarks/factorize_yolov3.py --list
    YOLO_SLIM_RUNS=~/runs python benchmarks/factorize_yolov3.py --toy --epochs 1           # minutes

The teacher is that of slim_yolov3.py, found in the folder of its runs or trained there. By weights
and on images, as two factors and as three, at one share of energy for all and at half of the MACs;
factors by weights get running statistics of their own. What is there is taken, a training that was
interrupted goes on, and a row that is written is not made again. Scored on the 60 test pictures:
confidence 0.001, NMS 0.7. --toy takes yolov3-nano at 96 px and writes its rows beside its runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from from_scratch import HERE, OURS, run
from measured import write_rows
from slim_yolov3 import FRESH, TOOLS, Runs, read_rows, row_of

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import totals
from yolo_slim.runtime.session import default_workers

CSV = HERE / "factorize-yolov3.csv"
AMOUNTS = {"energy 0.9": ("--energy", 0.9), "half of the MACs": ("--target-macs", 0.5)}
METHODS = ("svd", "tucker")


@dataclass(frozen=True)
class Arm:
    """A way to factorize. on_images: by what the kernels do there, else by the weights."""

    method: str
    on_images: bool
    amount: str

    @property
    def name(self) -> str:
        return f"{self.method} {'on images' if self.on_images else 'by weights'}, {self.amount}"

    @property
    def folder(self) -> str:
        return "factored-" + self.name.replace(",", "").replace(" ", "-")

    def words(self, data: Path) -> list[object]:
        shown = "--data" if self.on_images else "--recalibrate"
        return ["--method", self.method, *AMOUNTS[self.amount], "--multiple", 8, shown, data]


ARMS = [
    Arm(method, on_images, amount)
    for amount in AMOUNTS
    for method in METHODS
    for on_images in (False, True)
]


class Toys(Runs):
    """The same of a network that trains in a minute."""

    def teacher(self) -> Path:
        return self.train("teacher", "yolov3-nano", 2, "--size", 96, *OURS[2:])


def factored(runs: Runs, arm: Arm) -> Path:
    out = runs.root / arm.folder
    if not out.exists():
        words = [sys.executable, TOOLS / "factorize.py", runs.teacher(), "--out", out]
        run([*words, *arm.words(runs.data)], runs.root / f"{arm.folder}.log")
    return out


def measured(runs: Runs, arm: Arm | None, epochs: int) -> dict[str, object]:
    """Size, and AP before and after the training; of the teacher itself where there is no arm."""
    whole = runs.teacher()
    thin, name, folder = whole, "teacher", "teacher"
    if arm is not None:
        thin, name, folder = factored(runs, arm), arm.name, arm.folder
    before = row_of(thin)
    after = row_of(runs.train(f"{folder}-{epochs}", thin, epochs, *FRESH))
    share = totals(load_bundle(thin).cfg).macs / totals(load_bundle(whole).cfg).macs
    row: dict[str, object] = {"arm": name, "epochs": epochs, "macs_share": round(share, 4)}
    row |= {key: before[key] for key in ("parameters", "macs", "trained_on")}
    for when, found in (("before", before), ("after", after)):
        row |= {f"{key}_{when}": found[key] for key in ("AP", "AP50")}
    return row


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Factors of YOLOv3, before and after a training.")
    parser.add_argument("arm", nargs="*", help="those to make; else all")
    parser.add_argument("--epochs", type=int, default=10, help="of the training after it")
    parser.add_argument("--list", action="store_true", help="name the arms")
    parser.add_argument("--toy", action="store_true", help="a small network, to try it")
    asked = parser.parse_args(argv)
    names = ["teacher", *(arm.name for arm in ARMS)]
    if asked.list:
        print("\n".join(names))
        return
    if unknown := set(asked.arm) - set(names):
        sys.exit(f"no such arm: {', '.join(sorted(unknown))}; --list names them")
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    root = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser()
    kind, folder = (Toys, "toy-factorize") if asked.toy else (Runs, "slim-yolov3")
    runs = kind(root / folder, workers=default_workers())
    runs.describe()
    table = runs.root / CSV.name if asked.toy else CSV
    rows = read_rows(table)
    done = {(row["arm"], str(row["epochs"])) for row in rows}
    for name in asked.arm or names:
        if (name, str(asked.epochs)) in done:
            continue
        arm = next((arm for arm in ARMS if arm.name == name), None)
        row = measured(runs, arm, asked.epochs)
        rows.append(row)
        write_rows(table, rows)
        print(
            f"{name}: {row['macs_share']:.1%} of the MACs, AP {row['AP_before']:.4f}, after "
            f"{asked.epochs} epochs {row['AP_after']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
