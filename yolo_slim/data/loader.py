"""Training items: pictures at the network's input size, and their targets in its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor

from yolo_slim.data.augment import (
    MIN_SIDE_PX,
    MIN_VISIBLE_SHARE,
    Augmentation,
    Boxed,
    apply,
    build_augmentation,
    mosaic,
    reseed,
)
from yolo_slim.data.dataset import Dataset
from yolo_slim.data.image import read_image, read_size, require_size
from yolo_slim.errors import DataError
from yolo_slim.geometry import (
    ResizeMode,
    clip,
    frame_for,
    render,
    to_input,
    to_planes,
    visible,
)

Item = tuple[Tensor, Tensor]
"""image uint8 [3, h, w], red, green, blue; targets float32 [n, 5]: class id, x1, y1, x2, y2 in its
pixels. The consumer multiplies the image by float32(1/255): a quarter of the bytes to move."""


class TrainingSet(torch.utils.data.Dataset[Item | DataError]):
    """Item i of epoch e is picture i of the data set, rendered, augmented, with its targets.

    dataset: its crowd boxes are no targets.
    input_hw: height and width of the network's input in pixels. channels: 3, or 1 for luma alone.
    resize_mode: 'stretch' or 'letterbox'.
    augmentation: how pictures are changed; None leaves them as they are.
    cache: keep the rendered pictures in memory, if they take at most `cache_budget_bytes`.
    seed: with epoch and index it fixes every random draw, whoever makes the item.

    Call `warm` before the first epoch and `set_epoch` before each. Where a picture cannot be read,
    the item *is* the DataError: raised in a DataLoader's worker it would reach the person wrapped
    in a traceback. `collate` hands it on.

    The cache is shared with workers that are forked, and copied to each that is spawned.
    """

    def __init__(
        self,
        dataset: Dataset,
        input_hw: tuple[int, int],
        resize_mode: ResizeMode = "stretch",
        augmentation: Augmentation | None = None,
        *,
        channels: int = 3,
        cache: bool = True,
        cache_budget_bytes: int = 2 << 30,
        seed: int = 0,
    ) -> None:
        self._samples = dataset.samples
        self._input_hw = input_hw
        self._channels = channels
        self._resize_mode = resize_mode
        self._seed = seed
        self._mosaic_p = augmentation.mosaic_p if augmentation else 0.0
        self._transform = build_augmentation(input_hw, augmentation) if augmentation else None
        # In shared memory, so that workers kept over several epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        # Memory is taken as pages are written, by `warm`.
        shape = (len(dataset.samples), *input_hw, 3)
        fits = cache and np.prod(shape, dtype=np.int64) <= cache_budget_bytes
        self._cache = np.empty(shape, np.uint8) if fits else None
        self._cached = np.zeros(len(dataset.samples), bool)

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def is_cached(self) -> bool:
        """Whether pictures are kept in memory: asked for, and within the budget."""
        return self._cache is not None

    def set_epoch(self, epoch: int) -> None:
        """Chooses the random draws of the items to come, in this process and in its workers."""
        self._epoch.fill_(epoch)

    def warm(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Looks at every picture before training: fills the cache, or without one reads headers.

        progress: called with (pictures done, pictures in all).

        Raises DataError for the first picture that cannot be used.
        """
        visit = self._fill if self.is_cached else self._check_header
        n = len(self)
        # Decoding leaves Python's lock, so threads do help.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for done, _ in enumerate(pool.map(visit, range(n)), 1):
                if progress:
                    progress(done, n)

    def __getitem__(self, index: int) -> Item | DataError:
        if torch.utils.data.get_worker_info() is not None:
            cv2.setNumThreads(0)  # the workers are many
        rng = np.random.default_rng((self._seed, int(self._epoch), index))
        try:
            image, boxes_xyxy, class_ids = self._compose(index, rng)
        except DataError as error:
            return error
        if self._transform is not None:
            reseed(self._transform, int(rng.integers(2**31)))
            image, boxes_xyxy, class_ids = apply(self._transform, image, boxes_xyxy, class_ids)
        targets = np.concatenate([class_ids[:, None], boxes_xyxy], axis=1, dtype=np.float32)
        planes = to_planes(image, self._channels)
        return torch.from_numpy(planes), torch.from_numpy(targets)  # [channels, h, w], [n, 5]

    def _compose(self, index: int, rng: np.random.Generator) -> Boxed:
        if rng.random() >= self._mosaic_p:
            return self._rendered(index)
        others = rng.integers(len(self), size=3)
        return mosaic([self._rendered(i) for i in (index, *others)], self._input_hw, rng)

    def _rendered(self, index: int) -> Boxed:
        """The picture as the network would see it, and what of its boxes is inside."""
        sample = self._samples[index]
        image_hw = (sample.height_px, sample.width_px)
        frame = frame_for(self._resize_mode, image_hw, self._input_hw)
        # Cut at the picture's own border, not at that of the input: a letterbox has room beyond it.
        whole = to_input(frame, sample.boxes_xyxy)
        inside = to_input(frame, clip(sample.boxes_xyxy, image_hw))
        keep = visible(inside, whole, MIN_VISIBLE_SHARE, MIN_SIDE_PX) & ~sample.crowd
        boxes_xyxy, class_ids = inside[keep], sample.class_ids[keep]
        if self._cache is not None and self._cached[index]:
            return self._cache[index], boxes_xyxy, class_ids
        image = read_image(sample.path)
        require_size(sample.path, (sample.width_px, sample.height_px), image.shape[1::-1])
        return render(image, frame, self._input_hw), boxes_xyxy, class_ids

    def _fill(self, index: int) -> None:
        assert self._cache is not None
        self._cache[index] = self._rendered(index)[0]
        self._cached[index] = True

    def _check_header(self, index: int) -> None:
        sample = self._samples[index]
        require_size(sample.path, (sample.width_px, sample.height_px), read_size(sample.path))


def collate(items: Sequence[Item | DataError]) -> Item | DataError:
    """A batch: images uint8 [B, 3, h, w], targets float32 [N, 6], the image's index in column 0.

    Columns 1 to 5 are class id, x1, y1, x2, y2. The first DataError among the items, if any, takes
    the place of the batch: the training loop raises it.
    """
    good: list[Item] = []
    for item in items:
        if isinstance(item, DataError):
            return item
        good.append(item)
    rows = [
        torch.nn.functional.pad(targets, (1, 0), value=i) for i, (_, targets) in enumerate(good)
    ]
    return torch.stack([image for image, _ in good]), torch.cat(rows)
