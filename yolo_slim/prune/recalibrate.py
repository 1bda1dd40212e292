"""New running statistics for a cut network: what its BatchNorms see has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.weights import network_of

MIN_IMAGES = 16
"""Fewer say too little of a channel's mean and variance."""


def require_some(n_images: int, to_do: str) -> None:
    """Raises InputError for less than MIN_IMAGES images. to_do: what they are too few for."""
    if n_images < MIN_IMAGES:
        are = "image is" if n_images == 1 else "images are"
        raise InputError(
            f"{n_images} {are} too few to {to_do}: expected {MIN_IMAGES} or more, better some "
            "hundred"
        )


class _Moments:
    """Count, mean and summed squared distance from it, float64 [C], over all batches so far."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)

    def add(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Joins the values [B, C, ...] that a BatchNorm reads (Chan et al., 1979)."""
        values = inputs[0]
        per_channel = [dim for dim in range(values.dim()) if dim != 1]
        variance, mean = torch.var_mean(values, per_channel, correction=0)
        count = values.numel() // values.shape[1]
        total = self.count + count
        away = mean.double() - self.mean
        self.squares += variance.double() * count + away.square() * (self.count * count / total)
        self.mean += away * (count / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        return self.squares / max(self.count - 1, 1)


def recalibrate(
    bundle: Bundle, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None
) -> Bundle:
    """The bundle with running means and variances of these images; all else is as it was.

    batches: images [B, channels, H, W] in 0..1, preprocessed as for inference; some hundred images
    are enough, 16 to 32 a batch. Each BatchNorm normalizes by its batch, as in training, and the
    moments are those of all batches together, so that a first layer's do not depend on how images
    are batched (Li et al., EagleEye, ECCV 2020, show what it is worth before any training).
    progress: called with the number of images seen so far.

    Raises InputError for less than MIN_IMAGES images, and for a bundle without BatchNorm.
    """
    bundle.require_batchnorm("recalibrate")
    network = network_of(bundle.cfg, bundle.weights)
    norms = {
        name: module for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
    }  # fmt: skip
    moments = {name: _Moments(module.num_features) for name, module in norms.items()}
    for name, module in norms.items():
        module.train()
        module.register_forward_pre_hook(partial(_Moments.add, moments[name]))
    n_images = 0
    with torch.inference_mode():
        for images in batches:
            network(images)
            n_images += len(images)
            if progress is not None:
                progress(n_images)
    require_some(n_images, "recalibrate from")
    weights = dict(bundle.weights)
    for name, found in moments.items():
        if found.count:  # a section that no head reads is never run
            for key, value in (("running_mean", found.mean), ("running_var", found.variance)):
                weights[f"{name}.{key}"] = value.to(weights[f"{name}.{key}"])
    return bundle.then("recalibrate", {"images": n_images}, weights=weights)
