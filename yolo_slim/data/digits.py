"""The built-in data set: real handwritten digits, strewn over made-up backgrounds.

The digits are the 1,797 of `sklearn.datasets.load_digits` (8x8 cells, ink 0 to 16), which comes
with scikit-learn: a set to train and score on that needs no download.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from yolo_slim.data.coco import write_coco
from yolo_slim.data.dataset import Dataset, sample_of
from yolo_slim.errors import DataError
from yolo_slim.files import whole_folder

CLASS_NAMES = tuple("0123456789")
VERSION = 2
"""Goes up when other pictures come out of the same parameters."""

STAMP = "made_by_yolo_slim.json"
_SPLITS = ("train", "val")
_VAL_SHARE = 0.2
# At the demo's 96 px the smallest are 14 px high: lower, and the 8x8 cells that they are made of
# melt into each other.
_HEIGHTS_PX = (24, 80)
_MAX_DIGITS = 8
_EMPTY_SHARE = 0.03
# A cell is ink above this share of full ink; from there to _SOLID_INK it fades in.
_LEAST_INK, _SOLID_INK = 0.3, 0.5
_MAX_IOU, _MAX_COVER = 0.1, 0.15
_MIN_CONTRAST = 80
# About a fifth of the bytes of PNG, whose packing fails on noise, and the codec of real photos.
_JPEG_QUALITY = 95
_LUMA_BGR = np.array([0.114, 0.587, 0.299])


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture: image uint8 [s, s, 3] blue, green, red; ink float32 [n, s, s], 0 to 1, how much
    each digit covers; boxes_xyxy int64 [n, 4], tight around ink > 0; class_ids int64 [n]."""

    image: np.ndarray
    ink: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray


def make_digits(
    out: Path, n_train: int = 1200, n_val: int = 200, size_px: int = 160, seed: int = 0
) -> None:
    """Writes the set to the folder `out`: images/, annotations/ (COCO) and digits.yaml.

    Up to 8 digits a picture, 24 to 80 pixels high (log-uniform), at most slightly overlapping; 3 %
    of the pictures have none. No digit is in both train and val. The same parameters give the same
    bytes. Where `out` already holds the set of these parameters nothing is done.

    Raises DataError for unusable parameters, or where `out` holds anything else.
    """
    stamp = {
        "set": "digits",
        "version": VERSION,
        "n_train": n_train,
        "n_val": n_val,
        "size_px": size_px,
        "seed": seed,
    }
    if min(n_train, n_val) < 1 or size_px < 1.5 * _HEIGHTS_PX[1] or seed < 0:
        raise DataError(
            f"Digits with n_train={n_train}, n_val={n_val}, size_px={size_px}, seed={seed} cannot "
            "be made. Expected counts of 1 or more, size_px of 120 or more, seed of 0 or more."
        )
    try:
        if _is_free(out, stamp):
            with whole_folder(out) as folder:
                _write(folder, {"train": n_train, "val": n_val}, size_px, seed)
                (folder / STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error


def split_digits(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For train and val, cells float32 [n, 8, 8], 0 to 1, and class ids int64 [n]; disjoint."""
    # Here, not above: it takes a second, and only makers of digits need it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    val, train = np.split(order, [round(_VAL_SHARE * len(order))])
    cells = (digits.images / 16).astype(np.float32)
    target = digits.target.astype(np.int64)
    return {"train": (cells[train], target[train]), "val": (cells[val], target[val])}


def compose(
    cells: np.ndarray, class_ids: np.ndarray, size_px: int, rng: np.random.Generator
) -> Scene:
    """One picture of `size_px` pixels square with digits drawn from `cells` [n, 8, 8]."""
    image = _background(size_px, rng)
    ink: list[np.ndarray] = []
    boxes: list[tuple[int, int, int, int]] = []
    classes: list[int] = []
    n_digits = 0 if rng.random() < _EMPTY_SHARE else rng.integers(1, _MAX_DIGITS + 1)
    for index in rng.integers(len(cells), size=n_digits):
        height_px = round(float(np.exp(rng.uniform(*np.log(_HEIGHTS_PX)))))
        stamp = draw_ink(cells[index], height_px)
        box = _place(stamp.shape, size_px, np.array(boxes).reshape(-1, 4), rng)
        if box is None:
            continue
        left, top, right, bottom = box
        layer = np.zeros((size_px, size_px), np.float32)
        layer[top:bottom, left:right] = stamp
        patch = image[top:bottom, left:right]
        patch += stamp[..., None] * (_ink_colour(patch, rng) - patch)
        ink.append(layer)
        boxes.append(box)
        classes.append(class_ids[index])
    image += rng.normal(0, rng.uniform(1, 8), (size_px, size_px, 1)).astype(np.float32)
    return Scene(
        image=np.clip(image.round(), 0, 255).astype(np.uint8),
        ink=np.array(ink, np.float32).reshape(-1, size_px, size_px),
        boxes_xyxy=np.array(boxes, np.int64).reshape(-1, 4),
        class_ids=np.array(classes, np.int64),
    )


def draw_ink(cells: np.ndarray, height_px: int) -> np.ndarray:
    """One digit, cells [8, 8], as float32 [height_px, w], 0 to 1, without a row or column empty."""
    # A margin of one cell lets strokes at the border end round.
    margin = np.pad(cells, 1)
    # The ink's height follows from the magnification only roughly, so it is set in two steps.
    rough = _upscale(margin, 8 * len(margin))
    exact = _upscale(margin, round(8 * len(margin) * height_px / len(rough)))
    if len(exact) != height_px:
        width_px = max(1, round(exact.shape[1] * height_px / len(exact)))
        exact = _trim(cv2.resize(exact, (width_px, height_px), interpolation=cv2.INTER_LINEAR))
    return exact


def _upscale(cells: np.ndarray, side_px: int) -> np.ndarray:
    large = cv2.resize(cells, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return _trim(np.clip((large - _LEAST_INK) / (_SOLID_INK - _LEAST_INK), 0, 1))


def _trim(ink: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    hw: tuple[int, int], size_px: int, taken: np.ndarray, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A box for a digit of height and width `hw` that leaves `taken` [n, 4] legible, or None."""
    height, width = hw
    for _ in range(30):
        left = int(rng.integers(size_px - width + 1))
        top = int(rng.integers(size_px - height + 1))
        box = (left, top, left + width, top + height)
        sides = np.minimum(taken[:, 2:], box[2:]) - np.maximum(taken[:, :2], box[:2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        areas = (taken[:, 2:] - taken[:, :2]).prod(axis=1)
        iou = shared / (areas + height * width - shared)
        cover = shared / np.minimum(areas, height * width)
        if (iou <= _MAX_IOU).all() and (cover <= _MAX_COVER).all():
            return box
    return None


def _background(size_px: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [s, s, 3]: a random colour that drifts smoothly over the picture."""
    base = rng.uniform(0, 255, 3)
    knots = int(rng.integers(2, 6))
    drift = rng.uniform(-30, 30, (knots, knots, 3))
    coarse = np.clip(base + drift, 0, 255).astype(np.float32)
    return cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _ink_colour(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random colour, float32 [3], whose luma is _MIN_CONTRAST or more from that of the patch."""
    ground = float((patch.mean(axis=(0, 1)) @ _LUMA_BGR).clip(0, 255))
    room_below, room_above = ground - _MIN_CONTRAST, 255 - ground - _MIN_CONTRAST
    # 255 - 2 * 80 > 0: one side at least has room.
    above = rng.random() * (max(0, room_below) + max(0, room_above)) < max(0, room_above)
    luma = rng.uniform(255 - room_above, 255) if above else rng.uniform(0, room_below)
    colour = rng.uniform(0, 255, 3)
    own = float(colour @ _LUMA_BGR)
    if own < luma:  # towards white
        mixed = colour + (255 - colour) * (luma - own) / (255 - own)
    else:  # towards black
        mixed = colour * (luma / own)
    return mixed.astype(np.float32)


def _is_free(out: Path, stamp: dict[str, object]) -> bool:
    """False where the set is there already; DataError where something else is."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return True
    try:
        found = json.loads((out / STAMP).read_bytes())
    except (OSError, ValueError):
        raise DataError(
            f"{out} holds something else than a digits set. Name a new folder, or remove it."
        ) from None
    if found != stamp:
        raise DataError(
            f"{out} holds a digits set of other parameters ({found}). Name a new folder, or "
            "remove it."
        )
    return False


def _write(folder: Path, counts: dict[str, int], size_px: int, seed: int) -> None:
    pool = split_digits(seed)
    for number, split in enumerate(_SPLITS):
        cells, class_ids = pool[split]
        images = folder / "images" / split
        images.mkdir(parents=True)
        samples = []
        for image_id in range(1, counts[split] + 1):
            # Each picture has its own draws: asking for more leaves the first ones as they were.
            rng = np.random.default_rng((seed, number, image_id))
            scene = compose(cells, class_ids, size_px, rng)
            path = images / f"{image_id:06d}.jpg"
            quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            path.write_bytes(cv2.imencode(".jpg", scene.image, quality)[1].tobytes())
            rows = [
                (*box, class_id, False, None)
                for box, class_id in zip(scene.boxes_xyxy, scene.class_ids, strict=True)
            ]
            samples.append(sample_of(path, image_id, (size_px, size_px), rows)[0])
        ids = tuple(range(1, 11))
        dataset = Dataset(f"digits {split}", tuple(samples), CLASS_NAMES, ids)
        write_coco(dataset, folder / "annotations" / f"{split}.json")
    lines = [f"{s}: {{images: images/{s}, annotations: annotations/{s}.json}}" for s in _SPLITS]
    names = ", ".join(f'"{name}"' for name in CLASS_NAMES)
    text = "\n".join([*lines, f"names: [{names}]"]) + "\n"
    (folder / "digits.yaml").write_text(text, encoding="utf-8")
