"""Darknet's .weights files: a header, then each section's numbers as little-endian float32."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from yolo_slim.cfg import Cfg, tensor_shapes
from yolo_slim.errors import WeightsError
from yolo_slim.files import whole_file
from yolo_slim.weights import Weights, check_tensors, expected_shapes

VERSION = (0, 2, 5)
LEAST_NORMAL = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Header:
    """What a file says of itself. seen: images seen in training."""

    version: tuple[int, int, int]
    seen: int
    size_bytes: int

    @property
    def transposes(self) -> bool:
        """Whether [connected] kernels lie column by column, as very old files have them."""
        return self.version[0] > 1000 or self.version[1] > 1000

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def read_darknet_weights(path: Path, cfg: Cfg) -> tuple[Weights, int]:
    """Weights of `cfg` from a .weights file, and its counter of images seen in training.

    Raises WeightsError where the file is missing, cut short, or holds another number of floats
    than `cfg` needs; the message names both numbers.
    """
    header, found, rest = _read_header(path)
    needed = _floats(cfg)
    if found != sum(needed) or rest:
        short = found < sum(needed)
        advice = "the file is cut short" if short else "the file belongs to another cfg"
        if short and not rest and _whole_sections(needed, found) is not None:
            advice += ", or a backbone alone: then name it with --backbone-weights"
        stray = f" and {rest} bytes" if rest else ""
        raise WeightsError(
            f"{path}: holds {found:,} floats{stray} after its header (version {header}), "
            f"{cfg.source} needs {sum(needed):,}: {advice}"
        )
    return _read(path, header, cfg, len(cfg)), header.seen


def read_darknet_backbone(path: Path, cfg: Cfg) -> tuple[Weights, int]:
    """Weights of the first sections of `cfg`, as many as the file holds, and their number.

    That is what files like darknet53.conv.74 are. Raises WeightsError where the file ends in the
    middle of a section, holds more than `cfg` needs, or nothing.
    """
    header, found, rest = _read_header(path)
    needed = _floats(cfg)
    n_sections = None if rest else _whole_sections(needed, found)
    if found > sum(needed):
        raise WeightsError(
            f"{path}: holds {found:,} floats after its header (version {header}), all of "
            f"{cfg.source} needs {sum(needed):,}: the file belongs to another cfg"
        )
    if found == 0 or n_sections is None:
        ends = np.cumsum(needed)
        index = min(int(np.searchsorted(ends, found, side="right")), len(cfg) - 1)
        raise WeightsError(
            f"{path}: holds {found:,} floats after its header (version {header}), which end inside "
            f"of {cfg.where(index)} (sections 0 to {index} of {cfg.source} need {ends[index]:,})"
        )
    return _read(path, header, cfg, n_sections), n_sections


def write_darknet_weights(path: Path, cfg: Cfg, weights: Weights, seen: int = 0) -> None:
    """Writes what `read_darknet_weights` reads, with the header of version 0.2.5."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<iiiQ", *VERSION, seen))
        for key in expected_shapes(cfg):
            file.write(weights[key].detach().cpu().contiguous().numpy().astype("<f4").tobytes())


def _floats(cfg: Cfg) -> list[int]:
    """How many numbers each section has in a file."""
    return [sum(map(prod, tensors.values())) for tensors in tensor_shapes(cfg)]


def _whole_sections(needed: list[int], found: int) -> int | None:
    """How many sections exactly `found` numbers fill, those without numbers after them included."""
    total, n_sections = 0, None
    for index, count in enumerate(needed):
        total += count
        if total == found:
            n_sections = index + 1
    return n_sections


def _read(path: Path, header: Header, cfg: Cfg, n_sections: int) -> Weights:
    shapes = {
        key: shape
        for key, shape in expected_shapes(cfg).items()
        if int(key.split(".")[0]) < n_sections
    }
    count = sum(map(prod, shapes.values()))
    numbers: NDArray[np.float32] = np.fromfile(
        path, dtype="<f4", count=count, offset=header.size_bytes
    )
    weights: Weights = {}
    start = 0
    for key, shape in shapes.items():
        tensor = torch.from_numpy(numbers[start : start + prod(shape)].copy())
        if header.transposes and key.endswith("connected.weight"):
            weights[key] = tensor.view(shape[::-1]).T.contiguous()
        else:
            weights[key] = tensor.view(shape)
        if key.endswith("running_var"):
            # Published files have variances of -7e-44: 0, but for how Darknet rounds.
            weights[key][(tensor < 0) & (tensor > -LEAST_NORMAL)] = 0
        start += prod(shape)
    check_tensors(cfg, weights, str(path))
    return weights


def _read_header(path: Path) -> tuple[Header, int, int]:
    """The header, the number of floats after it, and the bytes that make no whole float."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            raw = file.read(20)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(raw) < 16:
        raise WeightsError(
            f"{path}: {len(raw)} bytes; a .weights file starts with a 16-byte header"
        )
    version = struct.unpack("<iii", raw[:12])
    major, minor, _ = version
    # Darknet widened the counter of seen images to 64 bits at version 0.2.
    if major * 10 + minor >= 2 and 0 <= major < 1000 and 0 <= minor < 1000:
        if len(raw) < 20:
            raise WeightsError(f"{path}: {len(raw)} bytes, its header alone has 20")
        header = Header(version, struct.unpack("<Q", raw[12:20])[0], 20)
    else:
        header = Header(version, struct.unpack("<I", raw[12:16])[0], 16)
    return header, *divmod(size_bytes - header.size_bytes, 4)
