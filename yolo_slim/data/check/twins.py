"""Pictures that are there twice: the same file, or nearly the same picture.

Nearness is measured by a difference hash of 256 bits (each says whether a cell of a 16x16 picture
is brighter than its left neighbour) and confirmed by the correlation of the same small pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from yolo_slim.data.check.finding import Finding
from yolo_slim.data.check.picture import Picture
from yolo_slim.data.check.rows import Evidence, RawImage, RawSplit

MAX_BITS = 32
"""Of 256 bits, how many may differ. Measured on 916 real pictures (docs/data-check.md): copies
saved at JPEG quality 50, halved, stretched to 416x416 or cropped by 1 % a side differ by 31 bits at
most; different pictures by 65 and more in COCO, by 82 and more in blood cells, and by 32 and more
in fruit on white, where the correlation tells them apart (0.82)."""

MIN_CORRELATION = 0.95
"""Of the small grey pictures; copies as above have 0.98 and more, but for 1 of 916 (0.93)."""

_BLOCK = 256  # against 118,000 pictures of COCO that is 120 MB


@dataclass(frozen=True)
class _Entry:
    split: RawSplit
    image: RawImage
    picture: Picture


def exact(evidence: Evidence) -> Iterator[Finding]:
    """Files of the same bytes: each but the first, told with the first."""
    first: dict[str, _Entry] = {}
    for split, image, picture in evidence.entries():
        if picture.digest is None:
            continue
        seen = first.setdefault(picture.digest, _Entry(split, image, picture))
        if seen.image is not image:
            yield _finding(("duplicate picture", "leak"), "the same bytes as", seen, split, image)


def near(evidence: Evidence) -> Iterator[Finding]:
    """Pictures that look like an earlier one: told with the nearest, one of another split first."""
    entries = _with_thumbnails(evidence)
    nearest: dict[int, tuple[bool, int, int]] = {}
    for earlier, later, bits in near_pairs([entry.picture for entry in entries]):
        one, other = entries[earlier], entries[later]
        if one.picture.digest == other.picture.digest:
            continue
        candidate = (one.split is other.split, bits, earlier)
        nearest[later] = min(nearest.get(later, candidate), candidate)
    for later, (_, bits, earlier) in sorted(nearest.items()):
        entry = entries[later]
        kinds = ("near-duplicate picture", "near leak")
        told = f"{bits} of 256 bits from"
        yield _finding(kinds, told, entries[earlier], entry.split, entry.image)


def near_pairs(pictures: list[Picture]) -> Iterator[tuple[int, int, int]]:
    """(earlier, later, bits that differ) of every two pictures that look alike; each has a
    thumbnail."""
    if len(pictures) < 2:
        return
    small = np.array([picture.thumbnail for picture in pictures], np.float32)  # [n, 16, 17]
    signs = difference_hash(small) * np.float32(2) - 1  # [n, 256]
    flat = small.reshape(len(small), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    n_bits = signs.shape[1]
    for start in range(0, len(signs), _BLOCK):
        # Of +1 and -1 the product is 256 less twice the bits that differ.
        products = signs[start : start + _BLOCK] @ signs[start:].T  # [block, n - start]
        for i, j in np.argwhere(products >= n_bits - 2 * MAX_BITS).tolist():
            earlier, later = start + i, start + j
            if i < j and float(flat[earlier] @ flat[later]) >= MIN_CORRELATION:
                yield earlier, later, round((n_bits - float(products[i, j])) / 2)


def difference_hash(thumbnails: np.ndarray) -> np.ndarray:
    """[n, 16, 17] -> bool [n, 256]: whether each cell is brighter than its left neighbour."""
    brighter: np.ndarray = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    return brighter.reshape(len(thumbnails), -1)


def _with_thumbnails(evidence: Evidence) -> list[_Entry]:
    """One entry for each file of each split."""
    found: dict[tuple[str, str | None], _Entry] = {}
    for split, image, picture in evidence.entries():
        if picture.thumbnail is not None:
            entry = _Entry(split, image, picture)
            found.setdefault((split.split, picture.digest), entry)
    return list(found.values())


def _finding(
    kinds: tuple[str, str], told: str, first: _Entry, split: RawSplit, image: RawImage
) -> Finding:
    within, across = kinds
    kind = within if first.split is split else across
    twin = (first.split.split, first.image.name)
    return Finding(kind, split.split, f"{told} {twin[0]}: {twin[1]}", image.name, twin=twin)
