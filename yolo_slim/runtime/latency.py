"""Measured latency: one image, several models in alternation, medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from yolo_slim.runtime.session import Session

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image: the median over all runs, and the fastest run."""

    median_ms: float
    best_ms: float
    runs: int


def measure_latency(
    openers: Mapping[Name, Callable[[], Session]],
    rounds: int = 5,
    seconds_per_round: float = 0.4,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Name, Latency]:
    """Times each model in turn, `rounds` times over, so that slow moments of a machine hit all.

    openers: a function per model that opens its session. Only one session lives at a time: idle
    threads of another one would disturb. Pre- and postprocessing are not counted.
    """
    times_ms: dict[Name, list[float]] = {name: [] for name in openers}
    for done in range(rounds):
        for name, opener in openers.items():
            times_ms[name] += _time(opener(), seconds_per_round)
        if progress is not None:
            progress(done + 1, rounds)
    return {
        name: Latency(float(np.median(times)), float(min(times)), len(times))
        for name, times in times_ms.items()
    }


def _time(session: Session, seconds: float) -> list[float]:
    height, width = session.cfg.input_hw
    shape = (1, session.cfg.net.channels, height, width)
    image = np.random.default_rng(0).random(shape, np.float32)
    for _ in range(3):
        session.run(image)
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times_ms) < 5:
        start = time.perf_counter()
        session.run(image)
        times_ms.append((time.perf_counter() - start) * 1e3)
    return times_ms
