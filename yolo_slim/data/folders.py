"""Pictures sorted into a folder a class, as for ImageNet: to train a backbone on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from yolo_slim.data.augment import Augmentation
from yolo_slim.data.colour import random_colour_matrix
from yolo_slim.data.image import read_image
from yolo_slim.data.pictures import find_pictures
from yolo_slim.data.readable import first_readable
from yolo_slim.errors import DataError
from yolo_slim.found_files import PICTURE_SUFFIXES
from yolo_slim.geometry import to_planes

MIN_AREA_SHARE = 0.35
"""Least share of a picture that a training crop shows (Szegedy et al., 2015, take 0.08)."""

CROP_SHARE = 0.875
"""Side of the middle that is scored, of the picture's shorter side: ImageNet's 224 of 256."""


@dataclass(frozen=True)
class PictureFolders:
    """Pictures and the class of each; classes are the folders' names in sorted order."""

    source: Path
    class_names: tuple[str, ...]
    paths: tuple[Path, ...]
    class_ids: tuple[int, ...]


def read_picture_folders(folder: Path) -> PictureFolders:
    """Reads `folder`/CLASS/*.jpg. Raises DataError for less than two classes or an empty one."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: expected one that holds a folder for each class")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise DataError(
            f"{folder} holds {len(classes)} folders: expected one for each class, two or more"
        )
    paths: list[Path] = []
    class_ids: list[int] = []
    for class_id, path in enumerate(classes):
        found = find_pictures(path)
        if not found:
            raise DataError(f"{path} holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))})")
        paths += found
        class_ids += [class_id] * len(found)
    return PictureFolders(folder, tuple(p.name for p in classes), tuple(paths), tuple(class_ids))


LabelledItem = tuple[torch.Tensor, int, tuple[str, ...]]
"""uint8 [channels, h, w], class, and which pictures could not be read in its place."""


class LabelledSet(torch.utils.data.Dataset["LabelledItem | DataError"]):
    """Item i of epoch e: a random crop of picture i as uint8 [channels, h, w], and its class.

    A picture that cannot be read is replaced by the next that can, and named in the item.

    augmentation: flips and colours; None for the middle of the picture, as it is scored.
    seed: with epoch and index it fixes every random draw.
    """

    def __init__(
        self,
        folders: PictureFolders,
        input_hw: tuple[int, int],
        augmentation: Augmentation | None,
        *,
        channels: int = 3,
        seed: int = 0,
    ) -> None:
        self._folders, self._input_hw, self._channels = folders, input_hw, channels
        self._augmentation, self._seed = augmentation, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self._folders.paths)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the random draws of the items to come, in this process and in its workers."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> LabelledItem | DataError:
        rng = np.random.default_rng((self._seed, int(self._epoch), index))
        faults: list[str] = []
        try:
            image, class_id = first_readable(self._read, index, len(self), faults)
        except DataError as error:
            return error  # raised in a worker it would reach the person wrapped in a traceback
        if self._augmentation is None:
            image = middle(image, self._input_hw)
        else:
            image = self._changed(image, self._augmentation, rng)
        return torch.from_numpy(to_planes(image, self._channels)), class_id, tuple(faults)

    def _read(self, index: int) -> tuple[np.ndarray, int]:
        return read_image(self._folders.paths[index]), self._folders.class_ids[index]

    def _changed(
        self, image: np.ndarray, options: Augmentation, rng: np.random.Generator
    ) -> np.ndarray:
        if rng.random() < options.affine_p:
            image = _random_crop(image, rng)
        image = cv2.resize(image, self._input_hw[::-1], interpolation=cv2.INTER_AREA)
        if rng.random() < options.flip_p:
            image = image[:, ::-1]
        if rng.random() < options.colour_p:
            extent = options.hue, options.saturation, options.exposure
            for_bgr = random_colour_matrix(rng, *extent)[::-1, ::-1]
            image = cv2.transform(image, for_bgr)
        return np.ascontiguousarray(image)


def middle(image: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    """The middle of a picture, CROP_SHARE of its shorter side, in the input's size and aspect."""
    height, width = image.shape[:2]
    scale = CROP_SHARE * min(height / input_hw[0], width / input_hw[1])
    cut_h, cut_w = (max(1, round(side * scale)) for side in input_hw)
    top, left = (height - cut_h) // 2, (width - cut_w) // 2
    cut = image[top : top + cut_h, left : left + cut_w]
    return cv2.resize(cut, input_hw[::-1], interpolation=cv2.INTER_AREA)


def collate_labelled(
    items: Sequence[LabelledItem | DataError],
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]] | DataError:
    """Images uint8 [B, C, h, w], classes int64 [B] and faults; the first DataError, if any."""
    good = []
    for item in items:
        if isinstance(item, DataError):
            return item
        good.append(item)
    images = torch.stack([image for image, _, _ in good])
    faults = tuple(fault for _, _, found in good for fault in found)
    return images, torch.tensor([class_id for _, class_id, _ in good]), faults


def _random_crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    share = rng.uniform(MIN_AREA_SHARE, 1.0) ** 0.5
    aspect = np.exp(rng.uniform(-0.2, 0.2))
    cut_h, cut_w = (
        int(np.clip(side * share * stretch, 1, side))
        for side, stretch in ((height, 1 / aspect), (width, aspect))
    )
    top, left = rng.integers(height - cut_h + 1), rng.integers(width - cut_w + 1)
    return image[top : top + cut_h, left : left + cut_w]
