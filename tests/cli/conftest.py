"""What all commands share here."""

from __future__ import annotations

from functools import partial

import pytest

from yolo_slim.cli import size_print
from yolo_slim.pipeline.timing import latencies_ms


@pytest.fixture(autouse=True)
def short_timings(monkeypatch):
    """Latency is measured for real, and not for long."""
    monkeypatch.setattr(size_print, "latencies_ms", partial(latencies_ms, seconds_per_round=0.01))
