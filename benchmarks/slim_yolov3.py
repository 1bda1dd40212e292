"""The full YOLOv3 made small on blood cells at 256 px, and what it is to be compared with.

    YOLO_SLIM_RUNS=~/runs python benchmarks/slim_yolov3.py [ARM ...]      # all arms; hours
    python benchmarks/slim_yolov3.py --list

Every row has had TEACH + SPARSE + HEAL epochs in all. Arms build on each other: what is there is
taken, a training that was interrupted goes on. Scored on the 60 test pictures: confidence 0.001,
NMS 0.7. Torch-Pruning (MIT) cuts the same sparse network to the same MACs, and is trained on in the
same way.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from from_scratch import CBC, HERE, OURS, numbers, run, split
from measured import latencies, write_rows

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Conv, render, totals
from yolo_slim.pipeline.scoring import detect_all
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import TorchSession, default_threads
from yolo_slim.weights import network_of, weights_of

CSV = HERE / "slim-yolov3.csv"
TOOLS = HERE.parent / "tools"
SIZE = 256
TEACH, SPARSE, HEAL = 40, 20, 40
ALL = TEACH + SPARSE + HEAL
SEEDS = (0, 1, 2)
SPARSITY = ["--sparsity", "0.1", "--sparsity-schedule", "local", "--sparsity-penalty", "group"]
CUT = ["--layers", "8", "--target-params", "0.0194", "--multiple", "8", "--layer-keep", "0.01",
       "--normalize", "none", "--reduce", "mean"]  # fmt: skip
# A network that is trained on keeps its size and anchors, and which anchors look for an object.
FRESH = OURS[OURS.index("--iou-thresh") + 2 :]


class Runs:
    """The folder of all arms, each made when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "cbc.yaml"

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
        if not (folder / "bundle").exists():
            goes_on = ["--resume"] if (folder / "checkpoints/last.ckpt").exists() else []
            run(
                [sys.executable, TOOLS / "train.py", model, "--images", CBC / "train",
                 "--annotations", CBC / "annotations/train.json", "--out", folder, "--epochs",
                 epochs, "--seed", seed, *words, *goes_on],
                self.root / f"{out}.log",
            )  # fmt: skip
        return folder / "bundle"

    # --- what is built on -------------------------------------------------------------------------

    def teacher(self) -> Path:
        return self.train("teacher", "yolov3", TEACH, "--size", SIZE, *OURS[2:])

    def sparse(self) -> Path:
        return self.train("sparse", self.teacher(), SPARSE, *FRESH, *SPARSITY, "--teacher",
                          self.teacher())  # fmt: skip

    def cut(self) -> Path:
        out = self.root / "cut"
        if not out.exists():
            run(
                [sys.executable, TOOLS / "prune.py", self.sparse(), "--out", out, *CUT,
                 "--recalibrate", self.data],
                self.root / "cut.log",
            )  # fmt: skip
        return out

    def healed(self, out: str, cut: Path, seed: int) -> Path:
        return self.train(f"{out}-{seed}", cut, HEAL, *FRESH, "--teacher", self.teacher(),
                          seed=seed)  # fmt: skip

    def by_torch_pruning(self, pruner: str) -> Path:
        """Their cut of our sparse network, to the MACs of ours."""
        out = self.root / f"cut-{pruner}"
        if not out.exists():
            target = totals(load_bundle(self.cut()).cfg).macs
            torch_pruned(load_bundle(self.sparse()), pruner, target).save(out)
        return out


def torch_pruned(bundle: Bundle, pruner: str, target_macs: int) -> Bundle:
    """The bundle as Torch-Pruning's `pruner` cuts it: at most `target_macs`, by bisection over its
    ratio; global ranking, widths in multiples of 8, heads left alone."""
    import torch_pruning as tp

    importance = {
        "BNScalePruner": lambda: tp.importance.BNScaleImportance(),
        "GroupNormPruner": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    }[pruner]

    def cut(ratio: float) -> Bundle:
        network = network_of(bundle.cfg, bundle.weights)
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        heads = [network.get_submodule(f"{index}.conv") for index in bundle.cfg.head_convs]
        getattr(tp.pruner, pruner)(
            network, torch.rand(1, bundle.cfg.net.channels, *bundle.cfg.input_hw), importance(),
            global_pruning=True, pruning_ratio=ratio, round_to=8, ignored_layers=heads,
        ).step()  # fmt: skip
        weights = weights_of(network)
        sections = tuple(
            replace(section, filters=len(weights[f"{index}.conv.weight"]))
            if isinstance(section, Conv)
            else section
            for index, section in enumerate(bundle.cfg)
        )
        cfg = replace(bundle.cfg, sections=sections)
        return bundle.then(pruner, {"ratio": ratio}, cfg=cfg, weights=weights)

    low, high = 0.0, 1.0
    found = None
    for _ in range(7):
        middle = (low + high) / 2
        candidate = cut(middle)
        if totals(candidate.cfg).macs <= target_macs:
            found, high = candidate, middle
        else:
            low = middle
    if found is None:
        sys.exit(f"{pruner} does not come down to {target_macs} MACs")
    return found


def arms(runs: Runs) -> dict[str, Callable[[], Path]]:
    def scratch() -> Path:
        cfg = runs.root / "cut.cfg"
        cfg.write_text(render(load_bundle(runs.cut()).cfg))
        return runs.train("scratch", cfg, ALL, *FRESH)

    made: dict[str, Callable[[], Path]] = {
        f"teacher, {TEACH} epochs": runs.teacher,
        "teacher trained on": lambda: runs.train("longer", runs.teacher(), SPARSE + HEAL, *FRESH),
        "sparse": runs.sparse,
        "cut, no training after it": runs.cut,
    }
    for seed in SEEDS:
        made[f"cut and healed, seed {seed}"] = lambda s=seed: runs.healed("healed", runs.cut(), s)  # type: ignore[misc]
    made["the cut cfg from random weights"] = scratch
    made["yolov3-tiny from scratch"] = lambda: runs.train(
        "tiny", "yolov3-tiny", ALL, "--size", SIZE, *OURS[2:]
    )
    for pruner in ("BNScalePruner", "GroupNormPruner"):
        for seed in SEEDS:
            made[f"Torch-Pruning {pruner}, seed {seed}"] = lambda p=pruner, s=seed: runs.healed(  # type: ignore[misc]
                f"healed-{p}", runs.by_torch_pruning(p), s
            )
    return made


def row_of(arm: str, path: Path) -> dict[str, object]:
    bundle = load_bundle(path)
    data = split("test")
    session = TorchSession(bundle, default_threads())
    found = detect_all(Detector(session, conf=0.001, nms_iou=0.7), data)
    total = totals(bundle.cfg)
    timed = latencies({"it": bundle.cfg}, rounds=5, seconds=0.5)["it"].median_ms
    row = {"arm": arm, "parameters": total.parameters, "macs": total.macs}
    return row | {"latency_ms": round(timed, 2)} | numbers(found, data)


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ and "--list" not in sys.argv:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    runs = Runs(Path(os.environ.get("YOLO_SLIM_RUNS", "")).expanduser() / "slim-yolov3")
    all_arms = arms(runs)
    if "--list" in sys.argv:
        print("\n".join(all_arms))
        return
    runs.describe()
    rows: list[dict[str, object]] = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for arm in sys.argv[1:] or all_arms:
        if any(row["arm"] == arm for row in rows):
            continue
        rows.append(row_of(arm, all_arms[arm]()))
        write_rows(CSV, rows)
        print(json.dumps(rows[-1], default=str))


if __name__ == "__main__":
    main()
