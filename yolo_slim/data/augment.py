"""Changes to a training picture that leave its boxes true."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import albumentations as A
import numpy as np

from yolo_slim.data.colour import ColourTwist
from yolo_slim.data.move import ScaleAndShift
from yolo_slim.geometry import BORDER_GREY, clip, visible

MIN_VISIBLE_SHARE = 0.3
"""A box of which less than this is left inside the picture is no target any more."""

MIN_SIDE_PX = 2.0
"""A box with a shorter side than this, in pixels of the input, is no target."""

Steps = tuple[A.BasicTransform, ...]

Boxed = tuple[np.ndarray, np.ndarray, np.ndarray]
"""image uint8 [h, w, 3], red, green, blue; boxes_xyxy float32 [n, 4] in its pixels; class_ids int64
[n]."""


@dataclass(frozen=True)
class Augmentation:
    """How much a training picture is changed; each `_p` is a probability, 0 to 1.

    mosaic_p: four pictures become one. mixup_p: another picture shines through.
    copy_paste_p: objects of another picture are pasted in.
    flip_p: mirrored left to right. Set 0 where left and right matter: digits, letters, signs.
    affine_p: scaled by `scale`, moved by up to `shift` of width and height, grey where nothing is.
    colour_p: hue turned by up to `hue` of the colour circle, saturation and exposure times a factor
        between 1 / f and f, as Darknet's [net] has them; see `ColourTwist`.
    """

    mosaic_p: float = 0.5
    mixup_p: float = 0.0
    copy_paste_p: float = 0.0
    flip_p: float = 0.5
    affine_p: float = 0.8
    scale: tuple[float, float] = (0.6, 1.5)
    shift: float = 0.15
    colour_p: float = 0.8
    hue: float = 0.05
    saturation: float = 1.5
    exposure: float = 1.5

    @classmethod
    def none(cls) -> Augmentation:
        """Pictures as they are."""
        return cls(mosaic_p=0, flip_p=0, affine_p=0, colour_p=0)

    @property
    def changes(self) -> bool:
        """Whether a picture may come out other than it is."""
        probabilities = (self.mosaic_p, self.mixup_p, self.copy_paste_p, self.flip_p,
                         self.affine_p, self.colour_p)  # fmt: skip
        return any(probabilities)

    def calm(self) -> Augmentation:
        """The same without what makes one picture of several."""
        return replace(self, mosaic_p=0.0, mixup_p=0.0, copy_paste_p=0.0)


def build_augmentation(options: Augmentation | None = None, seed: int = 0) -> Steps:
    """Albumentations transforms of pictures that keep their size.

    Everything of `options` (default: `Augmentation()`) but the mixing. Use it through `apply`.
    Draws follow `seed`, until `reseed` sets another.
    """
    options = options or Augmentation()
    steps = (
        A.HorizontalFlip(p=options.flip_p),
        ScaleAndShift(
            scale=options.scale,
            keep_ratio=True,
            translate_percent=(-options.shift, options.shift),
            fill=BORDER_GREY,
            p=options.affine_p,
        ),
        ColourTwist(options.hue, options.saturation, options.exposure, p=options.colour_p),
    )
    reseed(steps, seed)
    return steps


def reseed(steps: Steps, seed: int) -> None:
    """Makes the draws of all steps follow `seed` from here on, one step's after the other's.

    With generators of its own, all of one seed, each step's first draw would be the same number: a
    picture that is not flipped would also be the one that is not moved.
    """
    numbers, choices = np.random.default_rng(seed), random.Random(seed)
    for step in steps:
        step.set_random_state(numbers, choices)


def apply(steps: Steps, image: np.ndarray, boxes_xyxy: np.ndarray, class_ids: np.ndarray) -> Boxed:
    """What `steps` make of a picture and its boxes; see Boxed for the arrays.

    The image is uint8 [h, w, 3] red, green, blue, before and after. Boxes come back inside the
    picture; those too small or too little visible are gone. No boxes at all are fine.
    """
    image_hw = image.shape[0], image.shape[1]
    given = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    inside, class_ids = _inside(given, class_ids, image_hw)
    # A step takes boxes as shares of the picture, and further columns as they are. A.Compose would
    # check and convert them before and after: as much time as changing the picture takes.
    whole = np.array([image_hw[1], image_hw[0]] * 2, np.float32)
    rows = np.empty((len(inside), 5), np.float32)
    rows[:, :4], rows[:, 4] = inside / whole, class_ids
    changed = {"image": image, "bboxes": rows}
    for step in steps:
        changed = step(**changed)
    moved = changed["bboxes"].reshape(-1, 5)
    boxes = moved[:, :4].astype(np.float32) * whole
    inside = clip(boxes, image_hw)
    keep = visible(inside, boxes, MIN_VISIBLE_SHARE, MIN_SIDE_PX)
    return changed["image"], inside[keep], moved[keep, 4].astype(np.int64)


def _inside(
    boxes_xyxy: np.ndarray, class_ids: np.ndarray, image_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """What is enough inside a picture: nearly always all of it, which is soon seen."""
    class_ids = np.asarray(class_ids)
    height, width = image_hw
    if not len(boxes_xyxy) or (
        boxes_xyxy.min() >= 0
        and boxes_xyxy[:, 2].max() <= width
        and boxes_xyxy[:, 3].max() <= height
    ):
        return boxes_xyxy, class_ids
    inside = clip(boxes_xyxy, image_hw)
    seen = visible(inside, boxes_xyxy, MIN_VISIBLE_SHARE, 0)
    return inside[seen], class_ids[seen]
