"""Where a sweep may lie: beside anything, over another sweep, over nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import told

from yolo_slim.bundle import load_bundle
from yolo_slim.data.digits import make_digits
from yolo_slim.pipeline import sweeping
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 2, 2, 128)
    return folder / "digits.yaml"


@pytest.fixture
def place(tmp_path, monkeypatch, random_bundle) -> Path:
    """The folder of a training."""
    bundle = random_bundle(build("yolov3-nano", 10, 64), dtype=torch.float32)
    bundle.save(tmp_path / "run" / "bundle")
    (tmp_path / "run" / "metrics.csv").write_text("epoch\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweeping, "bundle_scorer", lambda _: lambda _: {"AP": 0.5, "AP50": 0.6})
    monkeypatch.setattr(sweeping, "bundle_latency_ms", lambda *_: 1.0)
    return tmp_path


SWEPT = {"bundle", "metrics.csv", "sweep.csv", "sweep.json", "sweep.html"}


def test_in_the_folder_of_the_run_it_lies_beside_the_bundle_and_may_be_done_again(
    place, digits, capsys
):
    for _ in range(2):
        assert told(f"prune run --sweep --data {digits} --out run", capsys) == (0, "")
        assert {path.name for path in (place / "run").iterdir()} == SWEPT
    assert (place / "run" / "metrics.csv").read_text() == "epoch\n"
    load_bundle(place / "run" / "bundle").save(place / "run" / "bundle")  # still one of its own


def test_a_bundle_takes_no_guests(place, digits, capsys):
    status, error = told(f"prune run --sweep --data {digits} --out run/bundle", capsys)
    assert status == 2 and error.startswith("error: run/bundle is a bundle")
    assert len(list((place / "run" / "bundle").iterdir())) == 3


@pytest.mark.parametrize("name", ["sweep.csv", "sweep.json", "sweep.html"])
def test_a_file_of_that_name_that_is_no_sweep_s_is_kept(name, place, digits, capsys):
    (place / "run" / name).write_text("dear")
    status, error = told(f"prune run --sweep --data {digits} --out run", capsys)
    assert (status, error) == (
        2,
        f"error: run/{name} exists and is of no sweep: nothing was written; name another --out\n",
    )
    assert {path.name for path in (place / "run").iterdir()} == {"bundle", "metrics.csv", name}
    assert (place / "run" / name).read_text() == "dear"
