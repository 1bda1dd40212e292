"""Network slimming as it was published: on classifiers, here on the 1,797 handwritten digits.

    YOLO_SLIM_RUNS=~/runs python benchmarks/slimming_classifiers.py [NAME ...]

For each network: trained; trained on sparsely; cut by |gamma| at one threshold (and, before a
convolution, by what blocks read); trained on after the cut; the same widths from random weights for
all these epochs. Right first answers on 359 pictures. (CIFAR-10 wants a network.)
"""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

from from_scratch import run
from measured import write_rows

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import render, totals

HERE = Path(__file__).resolve().parent
CSV = HERE / "slimming-classifiers.csv"
TOOLS = HERE.parent / "tools"
SIZE = 32
TEACH, SPARSE, HEAL = 12, 12, 12
SPARSITY = 0.05
WAYS = {
    "preresnet20": ["--ratio", "0.4", "--select", "0.4"],
    "preresnet56": ["--ratio", "0.4", "--select", "0.4"],
    "preresnet164": ["--ratio", "0.4", "--select", "0.6"],
    "densenet40": ["--ratio", "0.4", "--select", "0.6"],
    "vgg16": ["--ratio", "0.7"],
}


def tool(name: str, *words: object, log: Path) -> None:
    run([sys.executable, TOOLS / f"{name}.py", *map(str, words)], log)


def measured(bundle: Path, data: Path, log: Path) -> dict[str, float]:
    tool("evaluate", bundle, "--data", data, "--json", log.with_suffix(".json"), log=log)
    total = totals(load_bundle(bundle).cfg)
    top1 = json.loads(log.with_suffix(".json").read_text())["top1"]
    return {"top1": round(top1, 4), "parameters": total.parameters, "macs": total.macs}


def rows_of(name: str, data: Path, folder: Path) -> list[dict[str, object]]:
    common = ["--data", data, "--flip", "0", "--lr", "0.004", "--batch-size", "32"]

    def train(model: object, out: str, epochs: int, *words: object) -> Path:
        if not (folder / out / "bundle").exists():
            tool("train", model, "--out", folder / out, "--epochs", epochs, *common, *words,
                 log=folder / f"{out}.log")  # fmt: skip
        return folder / out / "bundle"

    folder.mkdir(parents=True, exist_ok=True)
    whole = train(name, "whole", TEACH, "--size", SIZE)
    longer = train(whole, "longer", SPARSE + HEAL)
    sparse = train(whole, "sparse", SPARSE, "--sparsity", SPARSITY)
    cut = folder / "cut"
    tool("prune", sparse, "--out", cut, "--normalize", "none", *WAYS[name], log=folder / "cut.log")
    healed = train(cut, "healed", HEAL)
    cfg = folder / "cut.cfg"
    cfg.write_text(render(load_bundle(cut).cfg))
    scratch = train(cfg, "scratch", TEACH + SPARSE + HEAL)
    arms = {
        "trained": (whole, TEACH), "trained on": (longer, TEACH + SPARSE + HEAL),
        "sparse": (sparse, TEACH + SPARSE), "cut": (cut, TEACH + SPARSE),
        "healed": (healed, TEACH + SPARSE + HEAL),
        "the same cfg from random weights": (scratch, TEACH + SPARSE + HEAL),
    }  # fmt: skip
    return [
        {"model": name, "arm": arm, "epochs": epochs,
         **measured(bundle, data, folder / f"{arm}.eval.log")}
        for arm, (bundle, epochs) in arms.items()
    ]  # fmt: skip


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "slimming-classifiers"
    data = runs / "digits"
    if not data.exists():
        tool("data", "digits", "--labelled", "--out", data, log=runs.parent / "digits.log")
    rows: list[dict[str, object]] = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for name in sys.argv[1:] or WAYS:
        if any(row["model"] == name for row in rows):
            continue
        rows += rows_of(name, data, runs / name)
        write_rows(CSV, rows)
        print(*(f"{r['model']} {r['arm']}: {r['top1']}" for r in rows if r["model"] == name),
              sep="\n")  # fmt: skip


if __name__ == "__main__":
    main()
