"""One file of a picture, looked at from its first byte to its last pixel."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from yolo_slim.data.dataset import is_file
from yolo_slim.data.image import quiet_pillow, read_image
from yolo_slim.errors import DataError

HASH_SIDE = 16
_FLAT = 2.0  # standard deviation, in grey levels of 255, below which there is nothing to compare
_ORIENTATION = 0x0112
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
# Formats whose EXIF stands before the pixels: of others it would cost decoding them.
_EXIF_IN_FRONT = ("JPEG", "MPO", "WEBP")


@dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds. All but the path is None where it is missing or not to be opened.

    fault: why it cannot be used; missing: there is no file at all.
    format: 'JPEG', 'PNG', 'GIF', 'BMP', 'TIFF', 'WEBP' by its first bytes, None for others.
    size_wh: as stored, in pixels. mode: Pillow's. bits: of a channel, 8 or 16.
    orientation: of the EXIF data; None without, and for TIFF, which every reader turns.
    digest: SHA-256 of the file.
    thumbnail: uint8 [16, 17], grey; None where the picture is all of one shade.
    """

    path: Path
    missing: bool = False
    fault: str | None = None
    format: str | None = None
    size_wh: tuple[int, int] | None = None
    mode: str | None = None
    bits: int = 8
    orientation: int | None = None
    digest: str | None = None
    thumbnail: np.ndarray | None = None


def look_at(path: Path) -> Picture:
    """Everything about the file at `path`; no file makes this raise."""
    if not is_file(path):
        return Picture(path, missing=True)
    try:
        content = path.read_bytes()
    except OSError as error:
        return Picture(path, fault=f"cannot be read: {error.strerror}")
    found_format = format_of(content)
    digest = hashlib.sha256(content).hexdigest()
    size_wh, mode, orientation = _header(content)
    fault, thumbnail = None, None
    try:
        thumbnail = thumbnail_of(read_image(path))
    except DataError as error:
        fault = str(error).removeprefix(f"{path} ").rstrip(".")
    return Picture(
        path,
        fault=fault,
        format=found_format,
        size_wh=size_wh,
        mode=mode,
        bits=_bits(content, found_format, mode),
        orientation=orientation,
        digest=digest,
        thumbnail=thumbnail,
    )


def format_of(content: bytes) -> str | None:
    """The format by the first bytes; None for one that is not known here.

    >>> format_of(b"GIF89a..."), format_of(b"RIFF1234WEBPVP8 "), format_of(b"hello")
    ('GIF', 'WEBP', None)
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _STARTS if content.startswith(start)), None)


def thumbnail_of(image_bgr: np.ndarray) -> np.ndarray | None:
    """uint8 [H, W, 3] -> grey uint8 [16, 17], by areas; None where it is all of one shade."""
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    size = (HASH_SIDE + 1, HASH_SIDE)
    small: np.ndarray = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small if small.std() >= _FLAT else None


def _header(content: bytes) -> tuple[tuple[int, int] | None, str | None, int | None]:
    """(width, height), mode, EXIF orientation."""
    try:
        with quiet_pillow(), Image.open(io.BytesIO(content)) as picture:
            return picture.size, picture.mode, _orientation(picture)
    except Exception:  # Pillow's readers raise many kinds of error over a damaged header
        return None, None, None


def _orientation(picture: Image.Image) -> int | None:
    if picture.format == "TIFF":
        return None
    try:
        if picture.format in _EXIF_IN_FRONT:
            exif = picture.getexif()
        else:
            exif = Image.Exif()
            exif.load(picture.info.get("exif") or b"")
        value = exif.get(_ORIENTATION)
    except Exception:  # EXIF that makes no sense turns no picture
        return None
    return int(value) if isinstance(value, int) else None


def _bits(content: bytes, found_format: str | None, mode: str | None) -> int:
    # A PNG says so behind its width and height; Pillow gives colours in 16 bits as 8.
    deep = found_format == "PNG" and content[24:25] == b"\x10"
    return 16 if deep or (mode or "").startswith("I;16") else 8
