"""Images a second in training: ours, a bare step, Ultralytics'; and of the two loaders alone.

    YOLO_SLIM_RUNS=~/runs python benchmarks/throughput.py [loaders]

YOLOv3-tiny at 320 px on blood cells, batch 16, two threads, everything in alternation, medians of
the rounds. The bare step is the network on one batch that lies ready, the mean square of its maps
for a loss, and AdamW. Both loaders make mosaics of all pictures, flip half of them, and move, scale
and colour every one. `loaders` leaves the steps out: those are for CPUs with bf16.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from from_scratch import CBC, HERE, SIZE, run, split, their_python, yolo_form
from measured import write_rows

from yolo_slim.cfg import resize
from yolo_slim.data.augment import Augmentation
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.train.batches import BatchLoader
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build

CSV = HERE / "throughput.csv"
BATCH, THREADS, ROUNDS = 16, 2, 3
MODEL = "yolov3-tiny"
STEPS = ("ours", "waiting_for_data", "bare", "ultralytics")


def bare() -> float:
    """Images a second of forward, backward and AdamW on one batch, bf16 and channels_last."""
    torch.set_num_threads(THREADS)
    cfg = resize(build(MODEL, 3), SIZE, SIZE)
    network = network_of(cfg, random_weights(cfg)).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(30):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            raws = network(images)
        torch.stack([raw.float().square().mean() for raw in raws]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begun)
    return BATCH / statistics.median(seconds[5:])


def ours(folder: Path) -> tuple[float, float]:
    """Images a second of whole steps, and the share of time spent waiting for data."""
    told = run(
        [
            sys.executable, HERE.parent / "tools/train.py", MODEL, "--images", CBC / "train",
            "--annotations", CBC / "annotations/train.json", "--out", folder / "speed",
            "--size", str(SIZE), "--batch-size", str(BATCH), "--anchors", "fit", "--iou-thresh",
            "0.3", "--mosaic", "1", "--epochs", "9", "--profile-steps", "40",
        ],
        folder / "speed.log",
    )  # fmt: skip
    lines = told.strip().splitlines()
    (share,) = (word for line in lines if " data " in line for word in line.split() if "%" in word)
    return float(lines[-1].split()[0]), float(share.rstrip("%")) / 100


def steps(runs: Path) -> dict[str, float]:
    step, waiting = ours(runs)
    rates = (bare(), theirs("speed", 2, runs))
    found = (round(step, 1), waiting, *(round(rate, 1) for rate in rates))
    return dict(zip(STEPS, found, strict=True))


def our_loader(workers: int) -> float:
    options = Augmentation(mosaic_p=1, flip_p=0.5, affine_p=1, colour_p=1)
    data = TrainingSet(split("train"), (SIZE, SIZE), augmentation=options)
    data.warm()
    loader = BatchLoader(data, collate, batch_size=BATCH, workers=workers, seed=0)
    n = 0
    begun = time.perf_counter()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        n += sum(len(images) for images, _, _ in loader)
    return n / (time.perf_counter() - begun)


def theirs(verb: str, workers: int, runs: Path) -> float:
    told = run(
        [
            their_python(runs), HERE / "ultralytics_side.py", verb, f"{MODEL}.yaml",
            yolo_form(runs), "--batch", str(BATCH), "--workers", str(workers), "--threads",
            str(THREADS), "--out", runs / "speed-run",
        ],
        runs / f"{verb}.log",
    )  # fmt: skip
    rate: float = json.loads(told.strip().splitlines()[-1])["images_per_second"]
    return rate


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    loaders_alone = sys.argv[1:] == ["loaders"]
    runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "from-scratch"
    runs.mkdir(parents=True, exist_ok=True)
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for number in range(ROUNDS):
        rows.append(
            {
                "round": number,
                **(dict.fromkeys(STEPS, "") if loaders_alone else steps(runs)),
                "our_loader": round(our_loader(0)),
                "ultralytics_loader": round(theirs("loader", 0, runs)),
            }
        )
        write_rows(CSV, rows)
        print(rows[-1])


if __name__ == "__main__":
    main()
