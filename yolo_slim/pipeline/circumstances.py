"""Where and when a number was measured: it travels with the number."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import onnxruntime
import torch

import yolo_slim
from yolo_slim.commit import commit


def circumstances(seed: int, threads: int) -> dict[str, str]:
    """Device, date, versions, commit and seed, as text."""
    return {
        "device": f"{_cpu_name()}, {threads} threads",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit() or "unknown",
        "seed": str(seed),
        "yolo_slim": yolo_slim.__version__,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
