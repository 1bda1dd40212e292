"""What each process of a training in tests/train/test_processes.py runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.utils.data import Dataset

from yolo_slim.bundle import Bundle
from yolo_slim.data.loader import collate
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.processes import rank
from yolo_slim.train.loop import train
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.train.sparsity_settings import SparsitySettings
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

N_STEPS = 20


class Noise(Dataset):
    """Pictures of noise with one to three boxes each."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int):
        draw = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 64, 64), generator=draw, dtype=torch.uint8)
        corners = torch.rand(1 + index % 3, 2, generator=draw) * 30
        sides = 8 + torch.rand(1 + index % 3, 2, generator=draw) * 20
        class_ids = torch.full((len(corners), 1), float(index % 2))
        return image, torch.cat((class_ids, corners, corners + sides), dim=1), ()


HOW = {
    "constant": SparsitySettings(),
    "together": SparsitySettings("local", 0.6, weight="macs", penalty="group", patience=1),
}


def losses(
    out: Path, devices: int, taught: bool, optimizer: str, precision: str, how: str
) -> list[float]:
    """The loss of each step of this process in a sparse training, with a teacher or without."""
    found: list[float] = []
    step = DetectorModule.training_step

    def noted(self, batch, index):
        loss = step(self, batch, index)
        found.append(float(loss))
        return loss

    DetectorModule.training_step = noted  # type: ignore[method-assign]
    cfg = build("yolov3-nano", 2, 64)
    dtype = torch.float64 if precision == "float64" else torch.float32

    def bundle_of(seed: int) -> Bundle:
        return Bundle(cfg, {k: v.to(dtype) for k, v in random_weights(cfg, seed).items()})

    batch_size = 8 // devices
    settings = TrainSettings(
        epochs=1, batch_size=batch_size, lr=1e-3, optimizer=optimizer, sparsity=0.1,
        sparse=HOW[how],
        precision=precision, workers=0,
        machines=Machines(devices, strategy="ddp" if devices > 1 else "auto"),
    )  # fmt: skip
    guidance = None
    if taught:
        losses = DistillSettings((("overhaul", 0.5), ("logits", 1.0)))
        draw = torch.Generator().manual_seed(0)
        images = [torch.rand(64, 3, 64, 64, generator=draw, dtype=dtype)]
        guidance = Distiller(bundle_of(1), cfg, losses, batch_size, lambda: images)
    trained = train(bundle_of(0), Noise(8 * N_STEPS), collate, settings, out, guidance=guidance)
    total = sum(float(value.double().abs().sum()) for value in trained.weights.values())
    (out / f"rank{rank()}.json").write_text(json.dumps({"losses": found, "weights": total}))
    return found


if __name__ == "__main__":
    losses(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "taught", *sys.argv[4:])
