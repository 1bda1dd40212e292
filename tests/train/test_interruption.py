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

EPOCHS, STEPS_PER_EPOCH = 3, 12


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make_digits(folder, 48, 8, 128, 0)
    return folder / "digits.yaml"


def command(data: Path, out: Path, *more: str) -> list[str]:
    """A training that keeps its state after every step, with all that is drawn at random."""
    return [
        sys.executable, "-c", "from yolo_slim.cli import main; main()", "train", "yolov3-nano",
        "--data", str(data), "--size", "64", "--epochs", str(EPOCHS), "--batch-size", "4",
        "--sparsity", "0.1", "--mosaic", "0.5", "--mixup", "0.2", "--copy-paste", "0.2",
        "--multi-scale", "1.3", "--checkpoint-minutes", "1e-9", "--out", str(out), *more,
    ]  # fmt: skip


def run(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(data, out, *more), capture_output=True, text=True, timeout=300)


def killed_and_resumed(data: Path, out: Path, kills: int, seed: int, *more: str) -> int:
    """Kills a training `kills` times, each time after a random part of a second of real work, then
    lets it end; how many kills met it while a state was being written."""
    draw = random.Random(seed)
    folder = out / "checkpoints"
    in_writing = 0
    for _ in range(kills):
        resume = ["--resume"] if (folder / "last.ckpt").exists() else []
        before = _written(folder)
        process = subprocess.Popen(
            command(data, out, *more, *resume), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while _written(folder) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.7))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        in_writing += any(p.name.startswith(".last") for p in folder.glob(".*"))
        for left in folder.glob(".*"):
            left.unlink()
        if process.returncode == 0:  # it was done before it was killed
            return in_writing
    ended = run(data, out, *more, "--resume")
    assert ended.returncode == 0, ended.stderr
    return in_writing


def _written(folder: Path) -> int:
    kept = folder / "last.ckpt"
    return kept.stat().st_mtime_ns if kept.exists() else 0


@pytest.mark.parametrize(
    ("kills", "workers"),
    [(3, "1"), pytest.param(20, "0", marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_it_ends_with_the_same_weights(digits, tmp_path, kills, workers):
    whole = run(digits, tmp_path / "whole", "--workers", "0")
    assert whole.returncode == 0, whole.stderr
    killed_and_resumed(digits, tmp_path / "killed", kills, 1, "--workers", workers)
    expected = load_file(tmp_path / "whole/bundle/model.safetensors")
    found = load_file(tmp_path / "killed/bundle/model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
