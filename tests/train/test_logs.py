"""One log of a training that was interrupted, whoever looks at it meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_slim.train.logs import join_logs, keep_earlier_log


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "metrics.csv").write_text("epoch,loss\n0,2.5\n")
    return tmp_path


def test_parts_become_one_log(out):
    keep_earlier_log(out)
    (out / "metrics.csv").write_text("epoch,AP\n1,0.3\n")
    join_logs(out)
    assert [path.name for path in out.iterdir()] == ["metrics.csv"]
    assert (out / "metrics.csv").read_text() == "epoch,loss,AP\n0,2.5,\n1,,0.3\n"


def test_only_the_first_process_touches_it(out, monkeypatch):
    keep_earlier_log(out)
    (out / "metrics.csv").write_text("epoch,AP\n1,0.3\n")
    monkeypatch.setenv("LOCAL_RANK", "1")
    before = {path.name: path.read_text() for path in out.iterdir()}
    keep_earlier_log(out)
    join_logs(out)
    assert {path.name: path.read_text() for path in out.iterdir()} == before
