"""COCO numbers of whatever runs: a data set through a detector into the metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.data.dataset import Dataset, Sample, coco_ground_truth
from yolo_slim.data.image import read_image, require_size
from yolo_slim.detections import Detections
from yolo_slim.errors import InputError
from yolo_slim.evaluate.coco import coco_numbers
from yolo_slim.fold import fold_batchnorm
from yolo_slim.geometry import frame_for, render, to_blob
from yolo_slim.nn.network import Network
from yolo_slim.pipeline.same_classes import numbered_as
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.weights import network_of

BATCH = 8


def require_heads(cfg: Cfg) -> None:
    """Raises InputError for a classifier."""
    if not cfg.heads:
        raise InputError(f"{cfg.source} has no detection head: it finds no boxes, and has no AP")


def require_boxes(dataset: Dataset) -> None:
    """Raises InputError where there is nothing to find: AP is undefined."""
    if not any(len(sample.class_ids) for sample in dataset.samples):
        raise InputError(
            f"{dataset.source} has no boxes: there is nothing to learn or to score against. Are "
            "these the right annotations?"
        )


def detect_all(
    detector: Detector, dataset: Dataset, progress: Callable[[int, int], None] | None = None
) -> dict[int, Detections]:
    """Detections of every image, by image id, with the numbers that the model gives to classes.

    Raises DataError for a picture that cannot be read, or has another size than is said of it.
    """
    found: dict[int, Detections] = {}
    samples = dataset.samples
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        results = detector([_picture_of(sample) for sample in batch])
        found |= {s.image_id: d for s, d in zip(batch, results, strict=True)}
        if progress is not None:
            progress(len(found), len(samples))
    return found


def _picture_of(sample: Sample) -> np.ndarray:
    """uint8 [H, W, 3], of the size that the boxes were marked in."""
    image = read_image(sample.path)
    require_size(sample.path, (sample.width_px, sample.height_px), image.shape[1::-1])
    return image


def score(
    detector: Detector, dataset: Dataset, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """The 12 COCO numbers of a detector on a data set, whose classes go by their names.

    Raises InputError as `numbered_as` does, and DataError as `detect_all` does.
    """
    session = detector.session
    cfg = session.cfg
    dataset = numbered_as(dataset, cfg.source, session.class_names, cfg.n_classes)
    found = detect_all(detector, dataset, progress)
    return coco_numbers(coco_ground_truth(dataset), found, dataset.category_ids)


def score_bundle(
    bundle: Bundle, dataset: Dataset, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """The 12 COCO numbers of a bundle in torch, with the rounding of its INT8 plan where it has
    one; on a GPU where there is one."""
    require_heads(bundle.cfg)
    folded = fold_batchnorm(bundle)  # the same answers in less time
    network = network_of(folded.cfg, folded.weights, folded.precision)
    network = network.to("cuda" if torch.cuda.is_available() else "cpu")
    session = NetworkSession(network.channels_last(), bundle.class_names)
    return score(Detector(session), dataset, progress)


def bundle_scorer(dataset: Dataset) -> Callable[[Bundle], dict[str, float]]:
    """The same as a function of the bundle. Raises InputError where there is nothing to find."""
    require_boxes(dataset)
    return partial(score_bundle, dataset=dataset)


def network_scorer(dataset: Dataset) -> Callable[[nn.Module], dict[str, float]]:
    """What the training loop calls at a validation: a network -> its AP and AP50.

    dataset: its classes are numbered as in training.
    """

    def scorer(network: nn.Module) -> dict[str, float]:
        assert isinstance(network, Network)
        numbers = score(Detector(NetworkSession(network)), dataset)
        return {"AP": numbers["AP"], "AP50": numbers["AP50"]}

    return scorer


def input_batches(
    dataset: Dataset, cfg: Cfg, n_images: int, seed: int = 0
) -> Iterator[torch.Tensor]:
    """Up to `n_images` images, drawn without replacement, as inputs [B, C, H, W] of `cfg`, 0..1.

    Batches of nearly one size: a last one of a single image has no statistics where a map is 1x1.
    """
    order = np.random.default_rng(seed).permutation(len(dataset.samples))[:n_images]
    for indices in np.array_split(order, math.ceil(len(order) / BATCH)) if len(order) else ():
        blobs = []
        for index in indices:
            image = read_image(dataset.samples[index].path)
            frame = frame_for(cfg.resize_mode, image.shape[:2], cfg.input_hw)
            blobs.append(to_blob(render(image, frame, cfg.input_hw), cfg.net.channels))
        yield torch.from_numpy(np.stack(blobs))
