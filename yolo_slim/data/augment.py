"""Changes to a training picture that leave its boxes true."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import cv2
import numpy as np

from yolo_slim.geometry import BORDER_GREY, clip, visible

# Read by Albumentations when it is imported: no look at the network for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A

MIN_VISIBLE_SHARE = 0.3
"""A box of which less than this is left inside the picture is no target any more."""

MIN_SIDE_PX = 2.0
"""A box with a shorter side than this, in pixels of the input, is no target."""

Boxed = tuple[np.ndarray, np.ndarray, np.ndarray]
"""image uint8 [h, w, 3]; boxes_xyxy float32 [n, 4] in its pixels; class_ids int64 [n]."""


@dataclass(frozen=True)
class Augmentation:
    """How much a training picture is changed; each `_p` is a probability, 0 to 1.

    mosaic_p: four pictures become one. mixup_p: another picture shines through.
    copy_paste_p: objects of another picture are pasted in.
    flip_p: mirrored left to right. Set 0 where left and right matter: digits, letters, signs.
    affine_p: scaled by `scale`, moved by up to `shift` of width and height, grey where nothing is.
    colour_p: hue, saturation and brightness moved by up to `hue`, `saturation`, `value` (of 255).
    """

    mosaic_p: float = 0.5
    mixup_p: float = 0.0
    copy_paste_p: float = 0.0
    flip_p: float = 0.5
    affine_p: float = 0.8
    scale: tuple[float, float] = (0.6, 1.5)
    shift: float = 0.15
    colour_p: float = 0.8
    hue: int = 8
    saturation: int = 60
    value: int = 50

    @classmethod
    def none(cls) -> Augmentation:
        """Pictures as they are."""
        return cls(mosaic_p=0, flip_p=0, affine_p=0, colour_p=0)

    def calm(self) -> Augmentation:
        """The same without what makes one picture of several."""
        return replace(self, mosaic_p=0.0, mixup_p=0.0, copy_paste_p=0.0)


def build_augmentation(
    input_hw: tuple[int, int], options: Augmentation | None = None, seed: int = 0
) -> A.Compose:
    """An Albumentations transform to pictures of height and width `input_hw` in pixels.

    Everything of `options` (default: `Augmentation()`) but the mosaic. Use it through `apply`.
    Draws follow `seed`, until `reseed` sets another.
    """
    options = options or Augmentation()
    steps = [
        A.Resize(*input_hw, interpolation=cv2.INTER_LINEAR),
        A.HorizontalFlip(p=options.flip_p),
        A.Affine(
            scale=options.scale,
            keep_ratio=True,
            translate_percent=(-options.shift, options.shift),
            fill=BORDER_GREY,
            p=options.affine_p,
        ),
        A.HueSaturationValue(
            hue_shift_limit=options.hue,
            sat_shift_limit=options.saturation,
            val_shift_limit=options.value,
            p=options.colour_p,
        ),
    ]
    boxes = A.BboxParams(
        format="pascal_voc",
        label_fields=["class_ids"],
        min_visibility=MIN_VISIBLE_SHARE,
        check_each_transform=False,  # one step moves boxes: looking at the end is the same
        clip=True,
        filter_invalid_bboxes=True,
    )
    transform = A.Compose(steps, bbox_params=boxes)
    reseed(transform, seed)
    return transform


def reseed(transform: A.Compose, seed: int) -> None:
    """Makes the draws of `transform` follow `seed` from here on, each step's its own.

    `transform.set_random_seed` gives one seed to all steps: their first draws are then the same
    number, and a picture that is not flipped would also be the one that is not moved.
    """
    transform.set_random_seed(seed)
    seeds = np.random.SeedSequence(seed).generate_state(len(transform.transforms))
    for step, own_seed in zip(transform.transforms, seeds, strict=True):
        step.set_random_seed(int(own_seed))


def apply(
    transform: A.Compose, image: np.ndarray, boxes_xyxy: np.ndarray, class_ids: np.ndarray
) -> Boxed:
    """What `transform` makes of a picture and its boxes; see Boxed for the arrays.

    The image is uint8 [h, w, 3] blue, green, red, before and after. Boxes come back inside the
    picture; those too small or too little visible are gone. No boxes at all are fine.
    """
    given = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
    # Albumentations cuts boxes to the picture before it looks how much of them is visible.
    inside = clip(given, (image.shape[0], image.shape[1]))
    seen = visible(inside, given, MIN_VISIBLE_SHARE, 0)
    # Its colour steps expect red first; a reversed view costs one copy each way.
    changed = transform(
        image=np.ascontiguousarray(image[:, :, ::-1]),
        bboxes=inside[seen],
        class_ids=np.asarray(class_ids, np.int64)[seen],
    )
    boxes = np.asarray(changed["bboxes"], np.float32).reshape(-1, 4)
    classes = np.asarray(changed["class_ids"], np.int64).reshape(-1)
    keep = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE_PX).all(axis=1)
    return np.ascontiguousarray(changed["image"][:, :, ::-1]), boxes[keep], classes[keep]
