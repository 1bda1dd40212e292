"""What a training came to, as JSON holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_slim.bundle import BUNDLE_IN_RUN, Bundle
from yolo_slim.pipeline.models import ModelSource
from yolo_slim.pipeline.size import ModelSize


def training_document(trained: Bundle, out: Path, numbers: Mapping[str, float]) -> dict[str, Any]:
    """trained: as it lies in the folder of the run, `out`. numbers: those of its last validation,
    as `evaluate` names them; empty where there was none."""
    place = str(out / BUNDLE_IN_RUN)
    event = next(e for e in reversed(trained.history) if e.verb == "train")
    return {
        "out": str(out),
        "bundle": place,
        "epochs": event.settings["epochs"],
        "totals": ModelSize.of(trained, file_bytes=ModelSource(place).file_bytes).known(),
        **numbers,
    }
