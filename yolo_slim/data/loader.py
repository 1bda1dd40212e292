"""Training items: pictures at the network's input size, and their targets in its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    reseed,
)
from yolo_slim.data.cache import RAM_BUDGET_BYTES, CacheMode, PictureCache
from yolo_slim.data.dataset import Dataset, Sample
from yolo_slim.data.image import read_image, read_size, require_size
from yolo_slim.data.mixing import copy_paste, mixup, mosaic
from yolo_slim.data.readable import first_readable
from yolo_slim.errors import DataError
from yolo_slim.geometry import (
    ResizeMode,
    clip,
    frame_for,
    render,
    to_input,
    visible,
)

Faults = tuple[str, ...]
"""Which pictures could not be read, and why; the next ones took their place."""

Item = tuple[Tensor, Tensor, Faults]
"""image uint8 [3, h, w], red, green, blue; targets float32 [n, 5]: class id, x1, y1, x2, y2 in its
pixels. The consumer multiplies the image by float32(1/255): a quarter of the bytes to move."""

MAX_UNREADABLE_SHARE = 0.5
"""More than this share of unreadable pictures is no data set."""


class TrainingSet(torch.utils.data.Dataset[Item | DataError]):
    """Item i of epoch e is picture i of the data set, rendered, augmented, with its targets.

    dataset: its crowd boxes are no targets.
    input_hw: height and width of the network's input in pixels. channels: 3, or 1 for luma alone.
    resize_mode: 'stretch' or 'letterbox'.
    augmentation: how pictures are changed; None leaves them as they are.
    calm_from: from this epoch on pictures are not mixed any more (mosaic, mixup, copy-paste), so
        that a training ends on pictures as they are. May be set anew before a training.
    cache: where rendered pictures are kept: 'ram', 'disk' (in `cache_folder`), 'off'; 'auto' takes
        memory if they need at most `cache_budget_bytes`.
    seed: with epoch and index it fixes every random draw, whoever makes the item.

    Call `warm` before the first epoch and `set_epoch` before each. A picture that cannot be read
    any more is replaced by the next that can, and named in the item. Where too many are gone, the
    item *is* the DataError: raised in a DataLoader's worker it would reach the person wrapped in a
    traceback. `collate` hands it on.

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
        calm_from: int | None = None,
        cache: CacheMode = "auto",
        cache_folder: Path | None = None,
        cache_budget_bytes: int = RAM_BUDGET_BYTES,
        seed: int = 0,
    ) -> None:
        self._samples = dataset.samples
        self._input_hw = input_hw
        self._channels = channels
        self._resize_mode = resize_mode
        self._seed = seed
        self.calm_from = calm_from
        self._augmentation = augmentation or Augmentation.none()
        self._transform = build_augmentation(augmentation) if augmentation else None
        # In shared memory, so that workers kept over several epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._boxes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        shape = (len(dataset.samples), *input_hw, 3)
        self._cache = PictureCache(cache, shape, cache_folder, cache_budget_bytes)

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def is_cached(self) -> bool:
        """Whether pictures are kept: asked for, and within the budget."""
        return self._cache.mode != "off"

    def set_epoch(self, epoch: int) -> None:
        """Chooses the random draws of the items to come, in this process and in its workers."""
        self._epoch.fill_(epoch)

    def warm(self, progress: Callable[[int, int], None] | None = None) -> Faults:
        """Looks at every picture before training: fills the cache, or without one reads headers.

        progress: called with (pictures done, pictures in all).

        Gives back why some pictures cannot be used: from now on the others stand for all. Raises
        DataError for the first of them where they are more than half.
        """
        n = len(self)
        # Decoding leaves Python's lock, so threads do help.
        faults: list[DataError | None] = []
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for fault in pool.map(self._fault, range(n)):
                faults.append(fault)
                if progress:
                    progress(len(faults), n)
        found = [fault for fault in faults if fault is not None]
        if len(found) > MAX_UNREADABLE_SHARE * n:
            raise found[0]
        self._samples = tuple(
            sample for sample, fault in zip(self._samples, faults, strict=True) if fault is None
        )
        if found:
            self._boxes.clear()
            self._cache.keep([fault is None for fault in faults])
        return tuple(str(fault) for fault in found)

    def __getitem__(self, index: int) -> Item | DataError:
        if torch.utils.data.get_worker_info() is not None:
            cv2.setNumThreads(0)  # the workers are many
        rng = np.random.default_rng((self._seed, int(self._epoch), index))
        faults: list[str] = []
        try:
            image, boxes_xyxy, class_ids = self._compose(index, rng, faults)
        except DataError as error:
            return error
        if self._transform is not None:
            reseed(self._transform, int(rng.integers(2**31)))
            image, boxes_xyxy, class_ids = apply(self._transform, image, boxes_xyxy, class_ids)
        targets = np.concatenate([class_ids[:, None], boxes_xyxy], axis=1, dtype=np.float32)
        if self._channels == 1:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
        # A view [channels, h, w] of the picture [h, w, channels]; targets [n, 5].
        planes = torch.from_numpy(image).permute(2, 0, 1)
        return planes, torch.from_numpy(targets), tuple(faults)

    def _compose(self, index: int, rng: np.random.Generator, faults: list[str]) -> Boxed:
        options = self._augmentation
        if self.calm_from is not None and int(self._epoch) >= self.calm_from:
            options = options.calm()

        def one(place: int) -> Boxed:
            return first_readable(self._rendered, place, len(self), faults)

        def another() -> Boxed:
            return one(int(rng.integers(len(self))))

        mixed = rng.random(3) < (options.mosaic_p, options.copy_paste_p, options.mixup_p)
        composed = one(index)
        if mixed[0]:
            others = [another() for _ in range(3)]
            composed = mosaic([composed, *others], self._input_hw, rng)
        if mixed[1]:
            composed = copy_paste(composed, another(), rng)
        if mixed[2]:
            composed = mixup(composed, another(), rng)
        return composed

    def _rendered(self, index: int) -> Boxed:
        """The picture as the network would see it, and what of its boxes is inside."""
        if index not in self._boxes:
            self._boxes[index] = self._inside(self._samples[index])
        boxes_xyxy, class_ids = self._boxes[index]
        kept = self._cache.get(index)
        return self._read(index) if kept is None else kept, boxes_xyxy, class_ids

    def _read(self, index: int) -> np.ndarray:
        """From the file: uint8 [h, w, 3], red, green, blue, as large as the input."""
        sample = self._samples[index]
        image_hw = (sample.height_px, sample.width_px)
        frame = frame_for(self._resize_mode, image_hw, self._input_hw)
        # Pictures that are kept are decoded once: whole. Others every time: as small as will do.
        pasted_hw = (round(image_hw[0] * frame.scale_y), round(image_hw[1] * frame.scale_x))
        image = read_image(sample.path, at_least_hw=None if self.is_cached else pasted_hw)
        if self.is_cached:
            require_size(sample.path, (sample.width_px, sample.height_px), image.shape[1::-1])
        rendered = render(image, frame, self._input_hw, image_hw)
        return cv2.cvtColor(rendered, cv2.COLOR_BGR2RGB)

    def _inside(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [n, 4] in pixels of the input, and class ids [n], of what can be learnt."""
        image_hw = (sample.height_px, sample.width_px)
        frame = frame_for(self._resize_mode, image_hw, self._input_hw)
        # Cut at the picture's own border, not at that of the input: a letterbox has room beyond it.
        whole = to_input(frame, sample.boxes_xyxy)
        inside = to_input(frame, clip(sample.boxes_xyxy, image_hw))
        keep = visible(inside, whole, MIN_VISIBLE_SHARE, MIN_SIDE_PX) & ~sample.crowd
        return inside[keep], sample.class_ids[keep]

    def _fault(self, index: int) -> DataError | None:
        """Why the picture cannot be used; one that can is put into the cache."""
        sample = self._samples[index]
        try:
            if self.is_cached:
                self._cache.put(index, self._read(index))
            else:
                expected_wh = (sample.width_px, sample.height_px)
                require_size(sample.path, expected_wh, read_size(sample.path))
        except DataError as error:
            return error
        return None


def collate(items: Sequence[Item | DataError]) -> Item | DataError:
    """A batch: images uint8 [B, 3, h, w], targets float32 [N, 6], the image's index in column 0.

    Images are channels_last in memory, as they were in the pictures and as the network wants them.

    Columns 1 to 5 are class id, x1, y1, x2, y2. The first DataError among the items, if any, takes
    the place of the batch: the training loop raises it.
    """
    good: list[Item] = []
    for item in items:
        if isinstance(item, DataError):
            return item
        good.append(item)
    rows = [
        torch.nn.functional.pad(targets, (1, 0), value=i) for i, (_, targets, _) in enumerate(good)
    ]
    faults = tuple(fault for _, _, found in good for fault in found)
    pictures = torch.stack([image.permute(1, 2, 0) for image, _, _ in good])  # [B, h, w, 3]
    return pictures.permute(0, 3, 1, 2), torch.cat(rows), faults
