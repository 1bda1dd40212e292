"""Checks on the files of pictures, one function each."""

from __future__ import annotations

from collections.abc import Iterator

from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.rows import Evidence

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_KNOWN_SUFFIXES = {suffix for suffixes in _SUFFIXES.values() for suffix in suffixes}
_TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored upside down",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees clockwise",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees counterclockwise",
}
_MODES = {
    "1": "grey",
    "L": "grey",
    "LA": "grey",
    "I": "grey",
    "F": "grey",
    "P": "palette",
    "PA": "palette",
    "CMYK": "CMYK",
}


def missing(evidence: Evidence) -> Iterator[Finding]:
    for split, image, picture in evidence.entries():
        if picture.missing:
            told = f"no file {image.name} in {image.path.parent}"
            yield Finding("missing image", split.split, told, image.name)


def unreadable(evidence: Evidence) -> Iterator[Finding]:
    for split, image, picture in evidence.entries():
        if picture.fault:
            yield Finding("unreadable image", split.split, picture.fault, image.name)


def other_format(evidence: Evidence) -> Iterator[Finding]:
    """A PNG called .jpg: by the first bytes of the file."""
    for split, image, picture in evidence.entries():
        suffix = image.path.suffix.lower()
        if picture.format and suffix in _KNOWN_SUFFIXES - set(_SUFFIXES[picture.format]):
            told = f"{picture.format}, called {suffix}"
            yield Finding("other format than its name", split.split, told, image.name)


def other_size(evidence: Evidence) -> Iterator[Finding]:
    for split, image, picture in evidence.entries():
        found, expected = picture.size_wh, image.size_wh
        if found is None or expected is None or found == expected:
            continue
        told = f"{found[0]}x{found[1]} pixels, the annotations say {expected[0]}x{expected[1]}"
        if found == expected[::-1]:
            told += ", as if it lay on its side"
        yield Finding("other size", split.split, told, image.name)


def orientation(evidence: Evidence) -> Iterator[Finding]:
    for split, image, picture in evidence.entries():
        value = picture.orientation
        if value in _TURNS:
            told = f"EXIF orientation {value}: to be shown {_TURNS[value]}"
            yield Finding("turned by EXIF", split.split, told, image.name)
        elif value not in (None, 1):
            told = f"EXIF orientation {value}, expected 1 to 8"
            yield Finding("invalid EXIF orientation", split.split, told, image.name)


def colour(evidence: Evidence) -> Iterator[Finding]:
    """Pictures that are not three channels of 8 bits."""
    for split, image, picture in evidence.entries():
        mode = picture.mode or ""
        kinds = [_MODES[mode]] if mode in _MODES else ["grey"] if mode.startswith("I;") else []
        kinds += ["transparency"] if mode in ("RGBA", "LA", "PA", "La", "RGBa") else []
        kinds += ["16 bits"] if picture.bits == 16 else []
        for kind in kinds:
            yield Finding(
                kind, split.split, f"mode {mode}" + ", 16 bits" * (picture.bits == 16), image.name
            )
