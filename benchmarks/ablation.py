"""Which part of a training brings how much AP: YOLOv3-tiny on blood cells at 320 px.

    YOLO_SLIM_RUNS=~/runs python benchmarks/ablation.py [ARM ...]

Each arm is the one it names as its base with some settings changed, trained from scratch and scored
on the 60 test pictures at three NMS thresholds. An arm that benchmarks/ablation.csv has is not run
again; a run that was stopped goes on. One seed each: differences below 0.006 or so are noise.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from measured import write_rows

from yolo_slim.bundle import Bundle, load_bundle
from yolo_slim.cfg import Cfg, Yolo, resize, with_anchors
from yolo_slim.data.augment import Augmentation
from yolo_slim.data.coco import read_coco
from yolo_slim.data.loader import TrainingSet, collate
from yolo_slim.pipeline.anchors import fitted_anchors
from yolo_slim.pipeline.scoring import score
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.train.checkpoint import CHECKPOINT
from yolo_slim.train.loop import train
from yolo_slim.train.loss import LossSettings
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build

HERE = Path(__file__).resolve().parent
CBC = HERE.parents[1] / "shared/data/cbc"
CSV = HERE / "ablation.csv"
SIZE = 320
NMS = (0.45, 0.6, 0.7)


@dataclass(frozen=True)
class Arm:
    """A training. yolo: fields of each [yolo]; calm: epochs at the end without mosaic."""

    model: str = "yolov3-tiny"
    calm: int = 0
    seed: int = 0
    yolo: dict[str, Any] = field(default_factory=lambda: {"iou_thresh": 0.3})
    loss: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(
        default_factory=lambda: {
            "mosaic_p": 0.3, "affine_p": 0.7, "scale": (0.7, 1.4), "shift": 0.1, "colour_p": 0.5,
        }
    )  # fmt: skip
    settings: dict[str, Any] = field(default_factory=lambda: {"epochs": 50, "batch_size": 8})

    def but(self, **changes: Any) -> Arm:
        """This arm with some fields changed; dictionaries are added to."""
        merged = {
            name: getattr(self, name) | value if isinstance(value, dict) else value
            for name, value in changes.items()
        }
        return replace(self, **merged)


BASE = Arm()
OBJECTNESS_IOU = BASE.but(yolo={"objectness_smooth": True})
NEIGHBOURS = OBJECTNESS_IOU.but(
    yolo={"scale_x_y": 2.0}, loss={"cells": "neighbours"}, calm=8
)  # fmt: skip
BEST = NEIGHBOURS.but(settings={"lr": 0.004}, loss={"box_weight": 10})
ARMS = {
    "base": BASE,
    "objectness tells IoU": OBJECTNESS_IOU,
    "and ignore_thresh 0.5": OBJECTNESS_IOU.but(yolo={"ignore_thresh": 0.5}),
    "and neighbours": NEIGHBOURS,
    "and 120 epochs": NEIGHBOURS.but(settings={"epochs": 120}, calm=16),
    "and strong pictures, 110 epochs": NEIGHBOURS.but(
        settings={"epochs": 110}, calm=12,
        pictures={"mosaic_p": 1.0, "affine_p": 1.0, "scale": (0.6, 1.5), "colour_p": 1.0,
                  "saturation": 1.8, "exposure": 1.8},
    ),
    "and lr 0.002, box weight 7.5": NEIGHBOURS.but(
        settings={"lr": 0.002}, loss={"box_weight": 7.5}
    ),
    "and lr 0.002, box weight 10, no mosaic": NEIGHBOURS.but(
        settings={"lr": 0.002}, loss={"box_weight": 10}, calm=0,
        pictures={"mosaic_p": 0, "scale": (0.8, 1.25)},
    ),
    "and lr 0.004, box weight 10": BEST,
    "the same, MobileNetV2": BEST.but(model="yolov3-lite-mobilenetv2"),
}  # fmt: skip


def cfg_of(arm: Arm, data: Any) -> Cfg:
    cfg = resize(build(arm.model, 3), SIZE, SIZE)
    cfg = with_anchors(cfg, fitted_anchors(cfg, data, 0))
    sections = tuple(replace(s, **arm.yolo) if isinstance(s, Yolo) else s for s in cfg)
    return replace(cfg, sections=sections)


def trained(arm: Arm, out: Path) -> Bundle:
    if (out / "bundle").exists():
        return load_bundle(out / "bundle")
    data = read_coco(CBC / "train", CBC / "annotations/train.json")
    cfg = cfg_of(arm, data)
    settings = TrainSettings(
        seed=arm.seed, validations=0, loss=LossSettings(**arm.loss), **arm.settings
    )
    pictures = TrainingSet(
        data, cfg.input_hw, augmentation=Augmentation(**arm.pictures), seed=arm.seed,
        calm_from=settings.epochs - arm.calm,
    )  # fmt: skip
    pictures.warm()
    bundle = Bundle(cfg, random_weights(cfg, arm.seed), class_names=tuple(data.class_names))
    resume = (out / "checkpoints" / CHECKPOINT).exists()
    result = train(bundle, pictures, collate, settings, out, label=out.name, resume=resume)
    result.save(out / "bundle")
    return result


def main() -> None:
    if "YOLO_SLIM_RUNS" not in os.environ:
        sys.exit("set YOLO_SLIM_RUNS to a folder outside of the repository")
    runs = Path(os.environ["YOLO_SLIM_RUNS"]).expanduser() / "ablation"
    test = read_coco(CBC / "test", CBC / "annotations/test.json")
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for name in sys.argv[1:] or ARMS:
        if any(row["arm"] == name for row in rows):
            continue
        arm = ARMS[name]
        begun = time.perf_counter()
        bundle = trained(arm, runs / name.replace(" ", "_"))
        seconds = time.perf_counter() - begun
        session = NetworkSession(network_of(bundle.cfg, bundle.weights))
        row: dict[str, Any] = {"arm": name, "model": arm.model, "epochs": arm.settings["epochs"]}
        for nms in NMS:
            numbers = score(Detector(session, conf=0.001, nms_iou=nms), test)
            row |= {f"AP, NMS {nms}": numbers["AP"], f"AP50, NMS {nms}": numbers["AP50"]}
        row |= {"seconds": round(seconds, 1), "threads": torch.get_num_threads(), "seed": arm.seed}
        rows.append(row)
        write_rows(CSV, rows)
        print(row)


if __name__ == "__main__":
    main()
