"""Two processes with half a batch each are one process with the whole batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.train.batches import EpochBatches
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.train.sync_batchnorm import SyncBatchNorm2d, synchronised
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

SCRIPT = Path(__file__).with_name("two_processes.py")


def run(out: Path, devices: int, *how: str) -> list[dict]:
    out.mkdir()
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={devices}", "--standalone"]
    command = [
        sys.executable, *(launcher if devices > 1 else []), str(SCRIPT), str(out), str(devices),
        *how,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(devices)]


@pytest.mark.parametrize(
    ("taught", "optimizer", "precision", "how", "tolerance"),
    [
        ("taught", "adamw", "float64", "constant", 1e-9),
        pytest.param("alone", "adamw", "float64", "together", 1e-9, marks=pytest.mark.slow),
        pytest.param("taught", "adamw", "float32", "constant", 1e-3, marks=pytest.mark.slow),
        pytest.param("alone", "adamw", "float64", "constant", 1e-9, marks=pytest.mark.slow),
        pytest.param("taught", "sgd", "float64", "constant", 1e-9, marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_one_with_the_doubled_batch(
    tmp_path, taught, optimizer, precision, how, tolerance
):
    (whole,) = run(tmp_path / "one", 1, taught, optimizer, precision, how)
    halves = run(tmp_path / "two", 2, taught, optimizer, precision, how)
    assert len(whole["losses"]) == 20
    # Rounding grows from step to step, to 1e-3 by the end: float32 is compared at the start.
    n_compared = 8 if precision == "float32" else 20
    triples = list(zip(whole["losses"], halves[0]["losses"], halves[1]["losses"], strict=True))
    for step, (one, left, right) in enumerate(triples[:n_compared]):
        assert (left + right) / 2 == pytest.approx(one, rel=tolerance), f"step {step}"
        assert left != right
    assert halves[0]["weights"] == halves[1]["weights"]
    assert halves[0]["weights"] == pytest.approx(whole["weights"], rel=tolerance)


def test_processes_share_out_each_batch(monkeypatch):
    def batches(n: int, rank: int) -> list[list[int]]:
        monkeypatch.setattr("yolo_slim.train.batches.n_processes", lambda: n)
        monkeypatch.setattr("yolo_slim.train.batches.rank", lambda: rank)
        sampler = EpochBatches(range(50), 8 // n, seed=3)  # type: ignore[arg-type]
        sampler.set_epoch(2)
        return list(sampler)

    whole, halves = batches(1, 0), [batches(2, rank) for rank in (0, 1)]
    assert len(whole) == 6 and len({index for batch in whole for index in batch}) == 48
    for batch, left, right in zip(whole, *halves, strict=True):
        assert sorted(batch) == sorted(left + right)


def test_alone_synchronised_batchnorm_is_batchnorm():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5, eps=1e-3))
    state = {key: value.clone() for key, value in plain.state_dict().items()}
    images = torch.rand(4, 3, 9, 9)
    expected = plain(images)
    after = plain.state_dict()
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5, eps=1e-3))
    other.load_state_dict(state)
    synced = synchronised(other)
    assert isinstance(synced[1], SyncBatchNorm2d)
    assert torch.equal(synced(images), expected)
    assert all(torch.equal(after[key], value) for key, value in synced.state_dict().items())


def test_a_resumed_training_is_known_by_the_processes_that_were_asked_for():
    """Before they meet, where it is looked at, as well as after, where it is written."""
    cfg = build("yolov3-nano", 2, 64)
    settings = TrainSettings(epochs=1, batch_size=2, machines=Machines(devices=2, n_nodes=3))
    module = DetectorModule(Bundle(cfg, random_weights(cfg)), settings, 10)
    assert module.circumstances()["processes"] == 6
