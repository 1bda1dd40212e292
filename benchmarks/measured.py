"""A network's latency in ONNX Runtime, and rows of a CSV that say where and when."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.files import write_csv
from yolo_slim.pipeline.circumstances import circumstances
from yolo_slim.runtime.latency import Latency, measure_latency
from yolo_slim.runtime.session import OnnxSession, default_threads
from yolo_slim.weights import random_weights


def latencies(cfgs: Mapping[str, Cfg], rounds: int, seconds: float) -> dict[str, Latency]:
    """All in alternation, random weights, one image, all cores."""
    with tempfile.TemporaryDirectory() as folder:
        openers = {}
        for number, (name, cfg) in enumerate(cfgs.items()):
            path = Path(folder) / f"{number}.onnx"
            export_onnx(Bundle(cfg, random_weights(cfg)), path)
            openers[name] = partial(OnnxSession, path, default_threads())
        return measure_latency(openers, rounds, seconds)


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Rows as CSV, each with device, date, commit and versions behind its own columns; a row that
    has them keeps them."""
    around = circumstances(0, default_threads())
    full = [dict(row) if "device" in row else {**row, **_lacking(row, around)} for row in rows]
    write_csv(path, full)


def _lacking(row: Mapping[str, object], around: Mapping[str, str]) -> dict[str, str]:
    """What `row` does not say itself."""
    return {name: value for name, value in around.items() if name not in row}
