"""Kept answers are answers; a file that is none is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sparse_training import TINY

from yolo_slim.bundle import Bundle
from yolo_slim.distill.cache import TeacherCache
from yolo_slim.distill.teacher import Teacher
from yolo_slim.weights import random_weights


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_size(path: Path) -> None:
    answer = load_file(path)
    answer["raw.0"] = answer["raw.0"][:, :1].contiguous()
    save_file(answer, path)


def without_a_map(path: Path) -> None:
    save_file({key: value for key, value in load_file(path).items() if key != "map.1"}, path)


@pytest.mark.parametrize("damage", [cut, empty, of_another_size, without_a_map])
def test_what_is_damaged_is_asked_for_again(damage, tmp_path):
    cache = TeacherCache(Teacher(Bundle(TINY, random_weights(TINY)), [1]), tmp_path)
    images = torch.rand(3, 3, 32, 32)
    (raw,), maps = cache(images)
    damage(min(tmp_path.iterdir()))
    (again,), maps_again = cache(images)
    assert cache.n_asked == 4
    assert torch.allclose(raw, again, atol=1e-6)
    assert torch.allclose(maps[1], maps_again[1], atol=1e-6)
    cache(images)
    assert cache.n_asked == 4
