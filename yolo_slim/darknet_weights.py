"""Darknet's .weights files: a header, then each convolution's numbers as little-endian float32."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from yolo_slim.cfg import Cfg, totals
from yolo_slim.errors import WeightsError
from yolo_slim.files import whole_file
from yolo_slim.weights import Weights, expected_shapes

VERSION = (0, 2, 5)


def read_darknet_weights(path: Path, cfg: Cfg) -> tuple[Weights, int]:
    """Weights of `cfg` from a .weights file, and its counter of images seen in training.

    Raises WeightsError where the file is missing, cut short, or holds another number of floats
    than `cfg` needs; the message names both numbers.
    """
    needed = totals(cfg).weights_file_floats
    try:
        size_bytes = path.stat().st_size
        header, seen, header_bytes = _read_header(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from None
    found, rest = divmod(size_bytes - header_bytes, 4)
    if found != needed or rest:
        advice = "the file is cut short" if found < needed else "the file belongs to another cfg"
        raise WeightsError(
            f"{path}: holds {found:,} floats after its header (version {header}), "
            f"{cfg.source} needs {needed:,}: {advice}"
        )
    numbers = np.fromfile(path, dtype="<f4", count=needed, offset=header_bytes)
    if not np.isfinite(numbers).all():
        raise WeightsError(f"{path}: holds numbers that are not finite")
    weights: Weights = {}
    start = 0
    for key, shape in _file_order(cfg):
        count = int(np.prod(shape))
        weights[key] = torch.from_numpy(numbers[start : start + count].copy()).view(shape)
        start += count
    return weights, seen


def write_darknet_weights(path: Path, cfg: Cfg, weights: Weights, seen: int = 0) -> None:
    """Writes what `read_darknet_weights` reads, with the header of version 0.2.5."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<iiiQ", *VERSION, seen))
        for key, _ in _file_order(cfg):
            file.write(weights[key].detach().cpu().contiguous().numpy().astype("<f4").tobytes())


def _read_header(path: Path) -> tuple[str, int, int]:
    with path.open("rb") as file:
        raw = file.read(20)
    if len(raw) < 16:
        raise WeightsError(
            f"{path}: {len(raw)} bytes; a .weights file starts with a 16-byte header"
        )
    major, minor, revision = struct.unpack("<iii", raw[:12])
    # Darknet widened the counter of seen images to 64 bits at version 0.2.
    if major * 10 + minor >= 2 and 0 <= major < 1000 and 0 <= minor < 1000:
        if len(raw) < 20:
            raise WeightsError(f"{path}: {len(raw)} bytes, its header alone has 20")
        return f"{major}.{minor}.{revision}", struct.unpack("<Q", raw[12:20])[0], 20
    return f"{major}.{minor}.{revision}", struct.unpack("<I", raw[12:16])[0], 16


def _file_order(cfg: Cfg) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Per convolution: beta (or bias), gamma, running mean, running variance, kernel."""
    shapes = expected_shapes(cfg)
    for index in range(len(cfg)):
        for name in ("conv.bias", "bn.bias", "bn.weight", "bn.running_mean", "bn.running_var",
                     "conv.weight"):  # fmt: skip
            key = f"{index}.{name}"
            if key in shapes:
                yield key, shapes[key]
