"""Two runs had the same data, or not: also where a picture's name is not UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from yolo_slim.data.dataset import Dataset, Sample
from yolo_slim.pipeline.fingerprint import fingerprint


def test_a_name_that_is_not_utf_8_is_told_from_another():
    def dataset(name: bytes) -> Dataset:
        nothing = np.zeros(0, np.float32)
        ids, crowd = np.zeros(0, np.int64), np.zeros(0, bool)
        path = Path(os.fsdecode(name))
        sample = Sample(path, 1, 8, 8, np.zeros((0, 4), np.float32), ids, crowd, nothing)
        return Dataset("here", (sample,), ("cat",), (1,))

    found = [fingerprint(dataset(name)) for name in (b"caf\xe9.png", b"caf\xe8.png")]
    assert len(set(found)) == 2
