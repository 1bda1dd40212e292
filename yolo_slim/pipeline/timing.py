"""What a cfg or a bundle takes, measured in ONNX Runtime on this CPU."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.weights import random_weights

ROUNDS = 5


def bundle_latency_ms(bundle: Bundle, threads: int, seconds_per_round: float = 0.4) -> float:
    """Median milliseconds for one image."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(bundle, path)
        opener = partial(OnnxSession, path, threads)
        return measure_latency({"it": opener}, ROUNDS, seconds_per_round)["it"].median_ms


def cfg_latency_ms(cfg: Cfg, threads: int, seconds_per_round: float = 0.4) -> float:
    """The same of a network of random weights: no engine here is faster for some numbers."""
    return bundle_latency_ms(Bundle(cfg, random_weights(cfg)), threads, seconds_per_round)
