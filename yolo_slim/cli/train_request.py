"""What `train` and `distill` were asked for, sorted by who has to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from yolo_slim.pipeline.teaching import FEATURES, Lessons
from yolo_slim.pipeline.training import LOSS
from yolo_slim.runtime.session import default_workers
from yolo_slim.train.checkpoint import CHECKPOINT
from yolo_slim.train.settings import Machines
from yolo_slim.train.sparsity_settings import SparsitySettings

SETTINGS = (
    "epochs", "batch_size", "lr", "optimizer", "schedule", "weight_decay", "sparsity", "keep_zeros",
    "accumulate", "multi_scale", "precision", "compiled", "profile_steps", "checkpoint_minutes",
    "ranges", "labels", "seed",
)  # fmt: skip
"""Options that are fields of TrainSettings."""

MACHINES = {
    "devices": "devices", "n_nodes": "num_nodes", "strategy": "strategy",
    "sync_batchnorm": "sync_batchnorm",
}  # fmt: skip
PICTURES = {
    "mosaic_p": "mosaic", "mixup_p": "mixup", "copy_paste_p": "copy_paste", "flip_p": "flip",
    "affine_p": "affine", "shift": "shift", "colour_p": "colour",
}  # fmt: skip
"""Field of Machines, Augmentation -> the option that it is."""


@dataclass(frozen=True)
class Request:
    """settings, loss, pictures: fields of TrainSettings, LossSettings and Augmentation as they were
    typed, None where they were not. lessons: of the teacher. The rest as their options."""

    model: str
    out: Path
    epochs: int
    settings: dict[str, Any]
    loss: dict[str, Any]
    pictures: dict[str, Any]
    data: Path | None = None
    weights: Path | None = None
    names: Path | None = None
    backbone_weights: str | None = None
    images: Path | None = None
    annotations: Path | None = None
    size: int | None = None
    anchors: str = "keep"
    iou_thresh: float | None = None
    cells: str = "own"
    close_mosaic: int | None = None
    cache: str = "auto"
    show_batch: Path | None = None
    profile_steps: int = 0
    seed: int = 0
    json: Path | None = None
    resume: bool = False
    teacher: str | None = None
    unlabelled: Path | None = None
    lessons: Lessons = field(default_factory=Lessons)

    @classmethod
    def of(cls, options: Mapping[str, Any], lessons: Lessons) -> Request:
        """options: name -> value, of a command; those that it has not are as by default."""
        settings = {name: options[name] for name in SETTINGS if name in options}
        workers = options.get("workers")
        settings["workers"] = default_workers() if workers is None else workers
        if "machines" in options:
            settings["machines"] = options["machines"]
        elif "devices" in options:
            settings["machines"] = Machines(**_named(MACHINES, options))
        if "sparsity" in options:
            settings["sparse"] = SparsitySettings(
                **{f.name: options[f"sparsity_{f.name}"] for f in fields(SparsitySettings)}
            )
        pictures = _named(PICTURES, options)
        zoom = options.get("zoom")
        pictures["scale"] = None if zoom is None else (1 / zoom, zoom)
        own = {f.name: options[f.name] for f in fields(cls) if f.name in options}
        made = {"settings": settings, "loss": _named(LOSS, options), "pictures": pictures}
        return cls(**own | made, lessons=lessons)

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoints" / CHECKPOINT

    @property
    def first_checkpoint(self) -> Path:
        """Of the stage of features alone."""
        return self.out / FEATURES / "checkpoints" / CHECKPOINT

    @property
    def begun(self) -> bool:
        return self.checkpoint.exists() or self.first_checkpoint.exists()


def _named(names: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    return {field: options.get(option) for field, option in names.items()}
