"""The full YOLOv3 made small on blood cells at 256 px, and what it is to be compared with.

    YOLO_SLIM_RUNS=~/runs python benchmarks/slim_yolov3.py [--jobs N] [ARM ...]   # all arms; hours
    python benchmarks/slim_yolov3.py --list
    YOLO_SLIM_RUNS=~/runs python benchmarks/slim_yolov3.py --latency              # on a quiet CPU

Every row has had TEACH + SPARSE + HEAL epochs in all. Arms build on each other: what is there is
taken, a training that was interrupted goes on; with --jobs so many go side by side. Scored on the
60 test pictures: confidence 0.001, NMS 0.7. How sparse the network is trained is chosen by the AP
of its cut on the training pictures, before any further training. Torch-Pruning (MIT) cuts the same
sparse network to the same MACs, and is trained on in the same way.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import torch
from from_scratch import CBC, HERE, OURS, numbers, run, split
from measured import latencies, write_rows
from torch_pruned import torch_pruned

from yolo_slim.bundle import load_bundle
from yolo_slim.cfg import Cfg, read_cfg, render, totals
from yolo_slim.fold import fold_batchnorm
from yolo_slim.pipeline.scoring import detect_all
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession, default_workers
from yolo_slim.weights import network_of

CSV, CHOICE, LATENCY = (HERE / f"slim-yolov3{name}.csv" for name in ("", "-choice", "-latency"))
TOOLS = HERE.parent / "tools"
SIZE = 256
TEACH, SPARSE, HEAL = 40, 20, 40
ALL = TEACH + SPARSE + HEAL
SEEDS = (0, 1, 2)
MAX_PARAMETERS, MAX_MACS = 0.0194, 0.1
"""Of the teacher's: 1.19 of 61.5 million parameters, a tenth of the MACs."""

PRUNERS = ("BNScalePruner", "GroupNormPruner")
# A network that is trained on keeps its size and anchors, and which anchors look for an object.
FRESH = OURS[OURS.index("--iou-thresh") + 2 :]


@dataclass(frozen=True)
class Choice:
    """A way to train sparsely, and to cut what comes of it."""

    sparsity: float
    penalty: str
    importance: str
    reduce: str

    def __str__(self) -> str:
        return f"S {self.sparsity:g} {self.penalty}, {self.importance} {self.reduce}"

    @property
    def training(self) -> str:
        return f"sparse-{self.sparsity:g}-{self.penalty}"

    @property
    def folder(self) -> str:
        return f"cut-{self.sparsity:g}-{self.penalty}-{self.importance}-{self.reduce}"


CHOICES = [
    Choice(sparsity, penalty, importance, reduce)
    for sparsity, penalty in ((0.03, "group"), (0.1, "group"), (0.3, "group"), (0.1, "l1"))
    for importance, reduce in (("gamma", "mean"), ("gamma-kernel", "mean"), ("gamma-kernel", "max"))
]


class Runs:
    """The folder of all arms, each made when it is first asked for, by one thread."""

    def __init__(self, root: Path, workers: int) -> None:
        self.root, self.data, self.workers = root, root / "cbc.yaml", workers
        self._locks: dict[str, Lock] = defaultdict(Lock)
        self._picking = Lock()

    def describe(self) -> None:
        """Makes the folder, and a description of the data in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{name}: {{images: {CBC / folder}, annotations: {CBC / 'annotations'}/{folder}.json}}"
            for name, folder in (("train", "train"), ("val", "test"))
        ]
        self.data.write_text("\n".join(lines) + "\n")

    def train(self, out: str, model: object, epochs: int, *words: object, seed: int = 0) -> Path:
        folder = self.root / out
        with self._locks[out]:
            if not (folder / "bundle").exists():
                goes_on = ["--resume"] if (folder / "checkpoints/last.ckpt").exists() else []
                run(
                    [sys.executable, TOOLS / "train.py", model, "--images", CBC / "train",
                     "--annotations", CBC / "annotations/train.json", "--out", folder, "--epochs",
                     epochs, "--seed", seed, "--workers", self.workers, *words, *goes_on],
                    self.root / f"{out}.log",
                )  # fmt: skip
        return folder / "bundle"

    def prune(self, out: str, model: Path, *words: object) -> Path:
        with self._locks[out]:
            if not (self.root / out).exists():
                run(
                    [sys.executable, TOOLS / "prune.py", model, "--out", self.root / out,
                     "--multiple", 8, "--layer-keep", 0.01, "--recalibrate", self.data, *words],
                    self.root / f"{out}.log",
                )  # fmt: skip
        return self.root / out

    # --- what is built on -------------------------------------------------------------------------

    def teacher(self) -> Path:
        return self.train("teacher", "yolov3", TEACH, "--size", SIZE, *OURS[2:])

    def sparse(self, choice: Choice) -> Path:
        return self.train(
            choice.training, self.teacher(), SPARSE, *FRESH, "--sparsity", choice.sparsity,
            "--sparsity-schedule", "local", "--sparsity-penalty", choice.penalty, "--teacher",
            self.teacher(),
        )  # fmt: skip

    def cut(self, choice: Choice) -> Path:
        """Eight residual blocks go, then channels until both bounds hold."""
        how = ("--importance", choice.importance, "--reduce", choice.reduce, "--normalize", "none")
        sparse = self.sparse(choice)
        out = self.prune(
            choice.folder, sparse, *how, "--layers", 8, "--target-params", MAX_PARAMETERS
        )
        share = totals(load_bundle(out).cfg).macs / totals(load_bundle(sparse).cfg).macs
        if share <= MAX_MACS:
            return out
        return self.prune(f"{choice.folder}-again", out, *how, "--target-macs", MAX_MACS / share)

    def chosen(self) -> Choice:
        """The choice whose cut has the best AP on the training pictures; all are in CHOICE."""
        with self._picking:
            known = {row["choice"]: row for row in read_rows(CHOICE)}
            lacking = [choice for choice in CHOICES if str(choice) not in known]
            with ThreadPoolExecutor(max(1, len(lacking))) as pool:
                cuts = list(pool.map(self.cut, lacking))
            for choice, path in zip(lacking, cuts, strict=True):
                row = {"choice": str(choice)} | row_of(path, "train")
                known[str(choice)] = row
            write_rows(CHOICE, known.values())
        return max(CHOICES, key=lambda choice: float(known[str(choice)]["AP"]))

    def our_sparse(self) -> Path:
        return self.sparse(self.chosen())

    def our_cut(self) -> Path:
        return self.cut(self.chosen())

    def healed(self, out: str, cut: Path, seed: int, *words: object) -> Path:
        return self.train(f"{out}-{seed}", cut, HEAL, *FRESH, *words, seed=seed)

    def by_torch_pruning(self, pruner: str) -> Path:
        """Their cut of our sparse network, to the MACs of ours."""
        out = self.root / f"cut-{pruner}"
        target = totals(load_bundle(self.our_cut()).cfg).macs
        with self._locks[pruner]:
            if not out.exists():
                torch_pruned(load_bundle(self.our_sparse()), pruner, target).save(out)
        return out


def arms(runs: Runs) -> dict[str, Callable[[], Path]]:
    def scratch(out: str, *words: object) -> Path:
        cfg = runs.root / f"{out}.cfg"
        cfg.write_text(render(load_bundle(runs.our_cut()).cfg))
        return runs.train(out, cfg, ALL, *FRESH, *words)

    def ours(seed: int, *words: object) -> Path:
        return runs.healed("taught" if words else "healed", runs.our_cut(), seed, *words)

    def theirs(pruner: str, seed: int) -> Path:
        return runs.healed(f"healed-{pruner}", runs.by_torch_pruning(pruner), seed)

    first, *others = SEEDS
    made: dict[str, Callable[[], Path]] = {
        f"teacher, {TEACH} epochs": runs.teacher,
        "sparse": runs.our_sparse,
        "cut, no training after it": runs.our_cut,
    }
    for seed in SEEDS:
        made[f"cut and healed, seed {seed}"] = partial(ours, seed)
    for pruner in PRUNERS:
        made[f"Torch-Pruning {pruner}, no training after it"] = partial(
            runs.by_torch_pruning, pruner
        )
        made[f"Torch-Pruning {pruner}, seed {first}"] = partial(theirs, pruner, first)
    made["teacher trained on"] = lambda: runs.train("longer", runs.teacher(), SPARSE + HEAL, *FRESH)
    made["the cut cfg from random weights"] = lambda: scratch("scratch")
    made["yolov3-tiny from scratch"] = lambda: runs.train(
        "tiny", "yolov3-tiny", ALL, "--size", SIZE, *OURS[2:]
    )
    for pruner in PRUNERS:
        for seed in others:
            made[f"Torch-Pruning {pruner}, seed {seed}"] = partial(theirs, pruner, seed)
    for seed in SEEDS:
        made[f"cut and healed by the teacher, seed {seed}"] = lambda s=seed: ours(  # type: ignore[misc]
            s, "--teacher", runs.teacher()
        )
    return made


def row_of(path: Path, side: str = "test") -> dict[str, object]:
    bundle = load_bundle(path)
    data = split(side)
    folded = fold_batchnorm(bundle)
    on = "cuda" if torch.cuda.is_available() else "cpu"
    network = network_of(folded.cfg, folded.weights).to(on)
    session = NetworkSession(network.to(memory_format=torch.channels_last))
    found = detect_all(Detector(session, conf=0.001, nms_iou=0.7), data)
    total = totals(bundle.cfg)
    gpu = torch.cuda.get_device_name() if on == "cuda" else "CPU"
    row = {"parameters": total.parameters, "macs": total.macs, "trained_on": gpu}
    return row | numbers(found, data)


def read_rows(path: Path) -> list[dict[str, object]]:
    return list(csv.DictReader(path.open())) if path.exists() else []


def measure(runs: Runs) -> None:
    """Latency in ONNX Runtime of all that differ in their cfg, in alternation."""
    cfgs: dict[str, Cfg] = {"teacher": read_cfg(runs.root / "teacher.cfg")}
    cfgs |= {name: read_cfg(runs.root / f"{name}.cfg") for name in ("ours", "tiny", *PRUNERS)}
    timed = latencies(cfgs, rounds=15, seconds=0.5)
    rows = []
    for name, cfg in cfgs.items():
        total = totals(cfg)
        row = {"network": name, "parameters": total.parameters, "macs": total.macs}
        rows.append(row | {"latency_ms": round(timed[name].median_ms, 2)})
    write_rows(LATENCY, rows)


def keep_cfgs(runs: Runs) -> None:
    """What `measure` reads."""
    where = {"teacher": "teacher/bundle", "tiny": "tiny/bundle"}
    where |= {pruner: f"cut-{pruner}" for pruner in PRUNERS}
    paths = {name: runs.root / folder for name, folder in where.items()}
    paths["ours"] = runs.our_cut()
    for name, path in paths.items():
        if path.exists():
            (runs.root / f"{name}.cfg").write_text(render(load_bundle(path).cfg))


def main() -> None:
    words = sys.argv[1:]
    if "YOLO_SLIM_RUNS" not in os.environ and "--list" not in words:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    jobs = 1
    if "--jobs" in words:
        place = words.index("--jobs")
        jobs = int(words[place + 1])
        del words[place : place + 2]
    root = Path(os.environ.get("YOLO_SLIM_RUNS", "")).expanduser() / "slim-yolov3"
    runs = Runs(root, workers=default_workers() if jobs == 1 else 2)
    all_arms = arms(runs)
    if "--list" in words:
        print("\n".join(all_arms))
        return
    if "--latency" in words:
        return measure(runs)
    runs.describe()
    rows = read_rows(CSV)
    writing, order = Lock(), list(all_arms)

    def go(arm: str) -> None:
        path = all_arms[arm]()
        with writing:
            row = {"arm": arm} | row_of(path)
            print(f"{arm}: AP {row['AP']:.4f} AP50 {row['AP50']:.4f}", flush=True)
            rows.append(row)
            rows.sort(key=lambda row: order.index(str(row["arm"])))
            write_rows(CSV, rows)

    known = {row["arm"] for row in rows}
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(go, [arm for arm in words or all_arms if arm not in known]))
    keep_cfgs(runs)


if __name__ == "__main__":
    main()
