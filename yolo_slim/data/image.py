"""Pictures from disk: whole, of bearable size, and turned as their annotations expect."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from yolo_slim.errors import DataError

PIXEL_LIMIT = 100_000_000
"""Larger pictures are refused before decoding: 100 megapixels are 300 MB in memory."""

_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
_JPEG_START = b"\xff\xd8"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# 0xFF before anything but a stuffed zero, a restart marker or a fill byte opens a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def read_image(
    path: Path, *, upright: bool = False, at_least_hw: tuple[int, int] | None = None
) -> np.ndarray:
    """The picture as uint8 [H, W, 3], blue, green, red, 0 to 255.

    Goes by the content, not the name: PNG called .jpg is fine. Grey and palette pictures become
    three channels, transparency is dropped, 16 bits become 8: all as `cv2.imread` does it.

    An EXIF orientation is ignored unless `upright`: width, height and boxes of COCO and Darknet
    annotations refer to the pixels as stored. Pass `upright=True` to show a photo to a person.
    Of TIFF it is always applied: OpenCV and Pillow turn what they read, whatever is asked.

    at_least_hw: a JPEG may come in a half, a quarter or an eighth of its height and width, as long
    as both divide and stay at least this large: its decoder then leaves out most of the work.

    Raises DataError where the file is missing, no picture, incomplete, or over PIXEL_LIMIT.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    size_wh = _header_size(io.BytesIO(content), path)
    if not is_complete(content):
        raise DataError(f"{path} ends early after {len(content)} bytes: fetch the picture again.")
    flags = cv2.IMREAD_COLOR
    if at_least_hw is not None and content.startswith(_JPEG_START):
        flags = _reduced(size_wh, at_least_hw)
    if not upright:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    image = _decode(content, flags)
    if image is None:
        raise DataError(f"{path} {_undecodable(path, content)}")
    return image


def read_size(path: Path) -> tuple[int, int]:
    """(width_px, height_px) of what `read_image` gives, from the header: nothing is decoded.

    Raises DataError where the file is missing, no picture, or over PIXEL_LIMIT.
    """
    try:
        with path.open("rb") as file:
            return _header_size(file, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def require_size(path: Path, annotated_wh: tuple[int, int], found_wh: tuple[int, int]) -> None:
    """Raises DataError where a picture has another size than its annotations say."""
    if found_wh == annotated_wh:
        return
    turned = found_wh == annotated_wh[::-1]
    hint = (
        "They were made on the picture as its EXIF orientation turns it: save it turned."
        if turned
        else "Are these the pictures that were annotated?"
    )
    raise DataError(
        f"{path} has {found_wh[0]}x{found_wh[1]} pixels, its annotations say "
        f"{annotated_wh[0]}x{annotated_wh[1]}. {hint}"
    )


def is_complete(content: bytes) -> bool:
    """Whether a JPEG or PNG reaches its end marker; True for every other format.

    An OpenCV may decode half a JPEG to half a picture over grey and say nothing. Walking
    the segments finds the true end: thumbnails have end markers of their own, and bytes that some
    cameras append after the end do no harm.
    """
    if content.startswith(_JPEG_START):
        return _jpeg_ends(content)
    if content.startswith(_PNG_START):
        return _png_ends(content)
    return True


def _reduced(size_wh: tuple[int, int], at_least_hw: tuple[int, int]) -> int:
    """The flag of the smallest size that OpenCV decodes a JPEG at and that is large enough."""
    width, height = size_wh
    for part, flag in _REDUCED.items():
        whole = width % part == 0 and height % part == 0
        if whole and height // part >= at_least_hw[0] and width // part >= at_least_hw[1]:
            return flag
    return cv2.IMREAD_COLOR


def _jpeg_ends(content: bytes) -> bool:
    position = len(_JPEG_START)
    while marker := _JPEG_MARKER.search(content, position):
        position = marker.end()
        kind = content[position - 1]
        if kind == 0xD9:
            return True
        # A segment begins with its own length; past a scan's header the search runs over its data.
        position += int.from_bytes(content[position : position + 2], "big")
    return False


def _png_ends(content: bytes) -> bool:
    position = len(_PNG_START)
    while position + 12 <= len(content):
        # A chunk: 4 bytes of length, 4 of name, the data, 4 of checksum.
        name = content[position + 4 : position + 8]
        position += 12 + int.from_bytes(content[position : position + 4], "big")
        if name == b"IEND":
            return position <= len(content)
    return False


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow warns of big and of odd pictures; inside, it does not, in whichever thread."""
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _header_size(file: object, path: Path) -> tuple[int, int]:
    try:
        with quiet_pillow(), Image.open(file) as picture:  # type: ignore[arg-type]
            width_px, height_px = picture.size
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} is over the limit of {PIXEL_LIMIT / 1e6:.0f} megapixels."
        ) from error
    except Exception as error:
        # Pillow's readers raise many kinds of error over a damaged header, struct.error among them.
        raise DataError(f"{path} is not a picture in a known format (JPEG, PNG, ...).") from error
    if width_px * height_px > PIXEL_LIMIT:
        raise DataError(
            f"{path} has {width_px}x{height_px} pixels, expected at most "
            f"{PIXEL_LIMIT / 1e6:.0f} megapixels: make it smaller."
        )
    return width_px, height_px


def _undecodable(path: Path, content: bytes) -> str:
    """What is wrong with a picture whose header is sound; nothing more of it is read."""
    with quiet_pillow(), Image.open(io.BytesIO(content)) as picture:
        kind, mode = picture.format, picture.mode
    if kind == "TIFF" and mode in ("F", "I"):
        return "is a TIFF of 32 bits a channel, which is not read: save it with 8 or 16."
    if not cv2.haveImageReader(str(path)):
        return f"is a picture of the format {kind}, which is not read: save it as PNG or JPEG."
    return "is damaged: its pixels cannot be decoded. Fetch it again."


def _decode(content: bytes, flags: int) -> np.ndarray | None:
    """None for a damaged file, without the lines that OpenCV prints about it."""
    with _QUIET:
        try:
            return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:
            return None


class _QuietOpenCV:
    """Silences OpenCV's log, which is one for the process, while any thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._level = cv2.utils.logging.getLogLevel()
                cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                cv2.utils.logging.setLogLevel(self._level)


_QUIET = _QuietOpenCV()
# Warning filters belong to the process too: two threads that swap them could leave them swapped.
_HEADER_LOCK = threading.Lock()
