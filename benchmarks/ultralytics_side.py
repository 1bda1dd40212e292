"""The other side of a comparison: runs in a virtual environment of its own, never with yolo_slim.

Ultralytics is AGPL: it is installed by `from_scratch.py` beside the repository, measured, and never
imported by the package. Prints one line of JSON.

    python ultralytics_side.py train yolo11n.yaml data.yaml --minutes 10 --out RUN
    python ultralytics_side.py detect RUN/weights/last.pt IMAGES --out detections.json
    python ultralytics_side.py speed yolov3-tiny.yaml data.yaml
    python ultralytics_side.py loader yolov3-tiny.yaml data.yaml
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from ultralytics import YOLO
from ultralytics.utils import torch_utils

N_WARM = 5


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that costs time and does not train is off; pictures are kept in memory."""
    return {
        "data": args.data, "imgsz": args.size, "batch": args.batch, "device": "cpu", "cache": "ram",
        "workers": args.workers, "val": False, "plots": False, "pretrained": False,
        "seed": args.seed, "verbose": False, "exist_ok": True, "save_period": -1,
    }  # fmt: skip


def train(args: argparse.Namespace) -> dict[str, Any]:
    out = Path(args.out).resolve()
    budget = {"epochs": args.epochs or 100}
    if args.minutes:
        budget = {"time": args.minutes / 60, "epochs": 1000}
    begun = time.perf_counter()
    model = YOLO(args.model)
    model.train(**options(args), **budget, project=str(out.parent), name=out.name)
    trainer = model.trainer
    return {
        "seconds": time.perf_counter() - begun,
        "epochs": int(trainer.epoch) + 1,
        "weights": str(out / "weights" / "last.pt"),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
    }


def detect(args: argparse.Namespace) -> dict[str, Any]:
    """Detections by file name: boxes x1, y1, x2, y2 in pixels of the picture, score, class."""
    model = YOLO(args.model)
    found = {}
    for path in sorted(Path(args.data).iterdir()):
        (result,) = model.predict(
            str(path), imgsz=args.size, conf=0.001, iou=0.7, max_det=300, verbose=False,
            device="cpu",
        )  # fmt: skip
        found[path.name] = result.boxes.data.tolist()  # [n, 6]
    Path(args.out).write_text(json.dumps(found))
    return {"images": len(found)}


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Images a second of whole training steps, the first ones left out."""
    ends: list[float] = []
    model = YOLO(args.model)
    model.add_callback("on_train_batch_end", lambda _: ends.append(time.perf_counter()))
    model.add_callback("on_train_epoch_start", lambda _: ends.append(float("nan")))
    model.train(**options(args), epochs=args.epochs or 2, close_mosaic=0)
    gaps = [b - a for a, b in zip(ends[N_WARM:], ends[N_WARM + 1 :], strict=False)]
    gaps = sorted(gap for gap in gaps if gap == gap)
    return {"images_per_second": args.batch / gaps[len(gaps) // 2], "steps": len(gaps)}


def loader(args: argparse.Namespace) -> dict[str, Any]:
    """Images a second of the training loader alone."""
    rates: dict[str, float] = {}

    def measure(trainer: Any) -> None:
        n = 0
        begun = time.perf_counter()
        for _ in range(3):
            for batch in trainer.train_loader:
                n += len(batch["img"])
        rates["images_per_second"] = n / (time.perf_counter() - begun)
        trainer.epochs = 0
        raise StopIteration

    model = YOLO(args.model)
    model.add_callback("on_train_start", measure)
    try:
        model.train(**options(args), epochs=1, close_mosaic=0)
    except StopIteration:
        pass
    return rates


def main() -> None:
    verbs = {"train": train, "detect": detect, "speed": speed, "loader": loader}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--out", default="run")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # By itself it trains with one thread fewer than there are cores: on two cores with one.
    torch_utils.NUM_THREADS = args.threads
    torch.set_num_threads(args.threads)
    print("\n" + json.dumps(verbs[args.verb](args)))


if __name__ == "__main__":
    main()
