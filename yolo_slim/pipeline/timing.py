"""What a cfg or a bundle takes, measured in an engine on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.pipeline.runtimes import find_runtime
from yolo_slim.runtime.latency import measure_latency
from yolo_slim.weights import random_weights

Engine = Literal["onnxruntime", "openvino", "openvino-f32", "opencv", "ncnn", "torch"]
"""Those of runtimes.py that run a bundle as it is."""

USUAL: Engine = "onnxruntime"
ROUNDS = 5


def latencies_ms(
    bundles: Mapping[str, Bundle], threads: int, engine: Engine = USUAL,
    seconds_per_round: float = 0.4,
) -> dict[str, float]:  # fmt: skip
    """Median milliseconds for one image of each, timed in alternation.

    Raises InputError for a bundle that the engine does not run.
    """
    open_bundle = find_runtime(engine).of_bundle
    with tempfile.TemporaryDirectory() as folder:
        openers = {
            name: open_bundle(bundle, Path(folder), threads) for name, bundle in bundles.items()
        }
        found = measure_latency(openers, ROUNDS, seconds_per_round)
        return {name: latency.median_ms for name, latency in found.items()}


def bundle_latency_ms(
    bundle: Bundle, threads: int, engine: Engine = USUAL, seconds_per_round: float = 0.4
) -> float:
    """The same of one."""
    return latencies_ms({"it": bundle}, threads, engine, seconds_per_round)["it"]


def cfg_latency_ms(
    cfg: Cfg, threads: int, engine: Engine = USUAL, seconds_per_round: float = 0.4
) -> float:
    """The same of a network of random weights: no engine here is faster for some numbers."""
    return bundle_latency_ms(Bundle(cfg, random_weights(cfg)), threads, engine, seconds_per_round)
