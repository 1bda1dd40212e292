"""Where there is no terminal, long work tells a line now and then, and short work nothing."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from yolo_slim import progress


@pytest.mark.parametrize(
    ("step_s", "told"), [(1, ""), (25, "calibrate: 2 of 5\ncalibrate: 4 of 5\n")]
)
def test_lines_in_a_log(step_s, told, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    log = io.StringIO()
    with progress.advancing("calibrate", Console(file=log)) as advance:
        for done in range(1, 6):
            now[0] += step_s
            advance(done, 5)
    assert log.getvalue() == told
