"""What a cfg or a bundle takes, measured in ONNX Runtime on this CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.runtime.session import OnnxSession
from yolo_slim.weights import random_weights

ROUNDS = 5


def latencies_ms(
    bundles: Mapping[str, Bundle], threads: int, seconds_per_round: float = 0.4
) -> dict[str, float]:
    """Median milliseconds for one image of each, timed in alternation."""
    with tempfile.TemporaryDirectory() as folder:
        openers = {}
        for number, (name, bundle) in enumerate(bundles.items()):
            path = Path(folder) / f"{number}.onnx"
            export_onnx(bundle, path)
            openers[name] = partial(OnnxSession, path, threads)
        found = measure_latency(openers, ROUNDS, seconds_per_round)
        return {name: latency.median_ms for name, latency in found.items()}


def bundle_latency_ms(bundle: Bundle, threads: int, seconds_per_round: float = 0.4) -> float:
    """The same of one."""
    return latencies_ms({"it": bundle}, threads, seconds_per_round)["it"]


def cfg_latency_ms(cfg: Cfg, threads: int, seconds_per_round: float = 0.4) -> float:
    """The same of a network of random weights: no engine here is faster for some numbers."""
    return bundle_latency_ms(Bundle(cfg, random_weights(cfg)), threads, seconds_per_round)
