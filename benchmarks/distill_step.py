"""What a teacher adds to a training step: its own forward, and how much more.

    python benchmarks/distill_step.py

256 px, batch 8, all cores: the student's step alone, the teacher's forward alone, and the step with
the teacher, by features and by features and answers; one after the other, over and over, so that a
machine that is slow for a while is so for all of them. A step is forward, loss, backward and
optimizer on a batch that lies ready. overhead: of the distilled step over the sum of the other two,
the median of the rounds; least and most are its quartiles.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measured import write_rows
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import resize
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.settings import DistillSettings, read_losses
from yolo_slim.train.loop import has_bf16
from yolo_slim.train.loss import detection_loss
from yolo_slim.train.optimizer import make_optimizer
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build

CSV = Path(__file__).with_name("distill-step-alternating.csv")
SIZE, BATCH, ROUNDS, WARMUP = 256, 8, 15, 2
PAIRS = [
    ("yolov3-lite-mobilenetv2", "yolov3-tiny"),
    ("yolov3-tiny", "yolov3-lite-mobilenetv2"),
    ("yolov3-tiny", "yolov3"),
    ("yolov3-lite-mobilenetv2", "yolov3"),
]
"""Student, teacher: light ones on both sides, and the teacher of most, a whole YOLOv3."""
LOSSES = {"features": "overhaul", "features and answers": "overhaul,logits"}


def bundle(name: str) -> Bundle:
    """Random weights: no number is faster than another."""
    cfg = resize(build(name, 3), SIZE, SIZE)
    return Bundle(cfg, random_weights(cfg))


def targets() -> Tensor:
    """[T, 6]: ten boxes an image, as blood cells have, of some size anywhere."""
    draw = torch.Generator().manual_seed(0)
    count = 10 * BATCH
    corner = torch.rand(count, 2, generator=draw) * 0.7
    side = torch.rand(count, 2, generator=draw) * 0.2 + 0.05
    image = torch.arange(BATCH).repeat_interleave(10)[:, None]
    kind = torch.randint(0, 3, (count, 1), generator=draw)
    return torch.cat([image, kind, corner * SIZE, (corner + side) * SIZE], dim=1).float()


class Steps:
    """A student's step, alone or under a teacher, and the teacher's forward."""

    def __init__(self, student: Bundle, teacher: Bundle, losses: str) -> None:
        self.cfg = student.cfg
        self.network = network_of(student.cfg, student.weights).channels_last().train()
        self.images = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
        self.targets = targets()
        self.distiller = Distiller(
            teacher, student.cfg, DistillSettings(read_losses(losses)), BATCH,
            images=lambda: [torch.rand(BATCH, 3, SIZE, SIZE) for _ in range(8)],
        )  # fmt: skip
        self.distiller.to(torch.device("cpu"), torch.float32)
        self.optimizer = make_optimizer(
            self.network, TrainSettings(epochs=1), self.distiller.connectors
        )

    def alone(self) -> None:
        with self._autocast():
            raws = self.network(self.images)
        self._learn(detection_loss(raws, self.targets, self.cfg))

    def teacher(self) -> None:
        with self._autocast():
            self.distiller.ask(self.images)

    def taught(self) -> None:
        guide = self.distiller
        with self._autocast():
            raws, maps = self.network.forward_with_taps(
                self.images, guide.taps, guide.before_activation
            )
            terms = detection_loss(raws, self.targets, self.cfg)
            own = torch.stack(list(terms.values())).sum()
            answer = guide.ask(self.images)
            terms |= guide.terms(answer, raws, maps, self.targets, own, (SIZE, SIZE))
        self._learn(terms)

    def _learn(self, terms: dict[str, Tensor]) -> None:
        torch.stack(list(terms.values())).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=has_bf16())


def seconds_of(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def main() -> None:
    rows = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    for student, teacher in PAIRS:
        for losses, words in LOSSES.items():
            steps = Steps(bundle(student), bundle(teacher), words)
            timed = [
                [1000 * seconds_of(a) for a in (steps.alone, steps.teacher, steps.taught)]
                for _ in range(WARMUP + ROUNDS)
            ][WARMUP:]
            over = [taught / (alone + asked) - 1 for alone, asked, taught in timed]
            least, middle, most = statistics.quantiles(over, n=4)
            medians = [round(statistics.median(column), 1) for column in zip(*timed, strict=True)]
            rows.append(
                {"student": student, "teacher": teacher, "losses": losses,
                 **dict(zip(("student_ms", "teacher_ms", "distilled_ms"), medians, strict=True)),
                 "overhead": round(middle, 3), "least": round(least, 3), "most": round(most, 3)}
            )  # fmt: skip
            write_rows(CSV, rows)
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
