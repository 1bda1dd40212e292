"""A few letters that tell whether two runs had the same data, or the same teacher."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import render
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.folders import PictureFolders


def fingerprint(thing: Dataset | PictureFolders | Bundle) -> str:
    """Of a data set its pictures' names, sizes in bytes, boxes and classes; of a model its cfg and
    numbers.

    Pixels are not read, and dates do not count: a copy of a data set is the same one.
    """
    digest = hashlib.sha256()
    if isinstance(thing, PictureFolders):
        for path, class_id in zip(thing.paths, thing.class_ids, strict=True):
            digest.update(_file(path) + f" {class_id}\n".encode())
        return f"{len(thing.paths)} pictures {digest.hexdigest()[:8]}"
    if isinstance(thing, Dataset):
        digest.update("\n".join(thing.class_names).encode())
        for sample in thing.samples:
            digest.update(_file(sample.path))
            digest.update(sample.boxes_xyxy.tobytes() + sample.class_ids.tobytes())
            digest.update(sample.crowd.tobytes())
        return f"{len(thing)} pictures {digest.hexdigest()[:8]}"
    digest.update(render(thing.cfg).encode())
    for _, tensor in sorted(thing.weights.items()):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def _file(path: Path) -> bytes:
    # A name need not be UTF-8.
    return os.fsencode(path.name) + f" {path.stat().st_size}".encode()
