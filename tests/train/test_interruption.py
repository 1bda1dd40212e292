"""A training that was killed, whenever that was, ends where an undisturbed one ends."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from yolo_slim.data.digits import make_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 48, 8, 128, 0)
    return folder / "digits.yaml"


def command(data: Path, out: Path, epochs: int, *more: str) -> list[str]:
    """A training that keeps its state after every step, with all that is drawn at random."""
    return [
        sys.executable, "-c", "from yolo_slim.cli import main; main()", "train", "yolov3-nano",
        "--data", str(data), "--size", "64", "--epochs", str(epochs), "--batch-size", "4",
        "--sparsity", "0.1", "--mosaic", "0.5", "--mixup", "0.2", "--copy-paste", "0.2",
        "--multi-scale", "1.3", "--checkpoint-minutes", "1e-9", "--out", str(out), *more,
    ]  # fmt: skip


def run(*arguments) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def kill_once(data: Path, out: Path, epochs: int, workers: str, wait_s: float | None) -> bool:
    """Begins or resumes a training and kills it: `wait_s` seconds after its first new state, or
    with None while one is being written. Whether a half-written state was left."""
    folder = out / "checkpoints"
    resume = ["--resume"] if (folder / "last.ckpt").exists() else []
    before = _written(folder)
    process = subprocess.Popen(
        command(data, out, epochs, "--workers", workers, *resume),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while _written(folder) == before and process.poll() is None:
        time.sleep(0.002)
    if wait_s is None:
        while not _half_written(folder) and process.poll() is None:
            time.sleep(0.0005)
    else:
        time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    _, told = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended before it was killed: {told!r}"
    return bool(_half_written(folder))


def _written(folder: Path) -> int:
    kept = folder / "last.ckpt"
    return kept.stat().st_mtime_ns if kept.exists() else 0


def _half_written(folder: Path) -> list[Path]:
    return list(folder.glob(".last.*"))


@pytest.mark.parametrize(
    ("kills", "epochs", "workers"),
    [(3, 3, "1"), pytest.param(20, 14, "0", marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_it_ends_with_the_same_weights(
    digits, tmp_path, kills, epochs, workers
):
    run(digits, tmp_path / "whole", epochs, "--workers", "0")
    draw = random.Random(1)
    killed = tmp_path / "killed"
    halves = [
        kill_once(
            digits, killed, epochs, workers, None if number % 3 == 1 else draw.uniform(0, 0.3)
        )
        for number in range(kills)
    ]
    assert any(halves)  # a kill that met the writing
    run(digits, killed, epochs, "--workers", workers, "--resume")
    assert not _half_written(killed / "checkpoints")
    expected = load_file(tmp_path / "whole/bundle/model.safetensors")
    found = load_file(killed / "bundle/model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
