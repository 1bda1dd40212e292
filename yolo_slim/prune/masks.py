"""Zeros in the kernels: single connections, two of every four, or whole k x k kernels.

The shape of nothing changes, so neither does the cfg: what goes stands in the tensors as 0. Some
convolutions stay dense: those that heads read, unless others are named.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Conv, head_maps, tensor_shapes
from yolo_slim.errors import InputError
from yolo_slim.weights import Weights

Granularity = Literal["weight", "2:4", "kernel"]

_FILES_ALONE = (
    "files become smaller once they are compressed (zip, gzip), and nothing becomes faster: the "
    "dense kernels of torch, ONNX Runtime and OpenVINO multiply by zeros all the same"
)
GAINS: dict[str, str] = {
    "weight": _FILES_ALONE,
    "kernel": _FILES_ALONE,
    "2:4": "TensorRT becomes faster with its sparse-weights flag, on Ampere GPUs or newer; torch, "
    "ONNX Runtime and OpenVINO run as before",
}
"""Who is faster for it."""


@dataclass(frozen=True)
class KernelZeros:
    """Of one convolution: its numbers, how many are 0, and why it was left alone ('' if not)."""

    index: int
    n_weights: int
    n_zeros: int
    left_alone: str = ""

    @property
    def share(self) -> float:
        return self.n_zeros / self.n_weights


def zero_weights(
    bundle: Bundle,
    granularity: Granularity,
    ratio: float = 0.5,
    within: Literal["network", "layer"] = "network",
    norm: Literal["l1", "l2"] = "l1",
    layer_keep: float = 0.05,
    dense: Collection[int] | None = None,
) -> Bundle:
    """The bundle with the smallest numbers of its convolutions at 0; those that were 0 stay it.

    'weight': the share `ratio` of single connections with the least |w| (Han et al., Learning both
    Weights and Connections, 2015). 'kernel': that share of k x k kernels, each the plane with
    which one filter reads one channel, with the least mean |w| ('l1') or root mean square ('l2').
    Both over the whole network, by one threshold, or within each layer; over the network every
    convolution keeps at least `layer_keep` of its own.
    '2:4': in each four numbers of neighbouring input channels (of one filter, at one place of the
    kernel) the two with the least |w|, as NVIDIA's sparse tensor cores read them.

    dense: sections left alone; None for the convolutions that heads read.
    Raises InputError for arguments out of range, and where BatchNorm has been folded.
    """
    bundle.require_batchnorm("prune")
    if granularity not in GAINS:
        raise InputError(f"--granularity {granularity!r} is unknown: {', '.join(GAINS)}")
    if not 0 <= ratio < 1:
        raise InputError(f"--ratio {ratio}: expected 0 up to, not with, 1")
    if not 0 <= layer_keep <= 1:
        raise InputError(f"--layer-keep {layer_keep}: expected a share between 0 and 1")
    for index in set(dense or ()) - head_maps(bundle.cfg):
        if not (0 <= index < len(bundle.cfg) and isinstance(bundle.cfg[index], Conv)):
            raise InputError(
                f"--dense {index}: {bundle.cfg.source} has no [convolutional] there; sections are "
                f"counted from 0 to {len(bundle.cfg) - 1}"
            )
    reasons = left_alone(bundle.cfg, granularity, dense)
    kernels = {
        index: bundle.weights[f"{index}.conv.weight"]
        for index, reason in reasons.items()
        if not reason
    }
    if granularity == "2:4":
        settings: dict[str, object] = {"granularity": granularity}
        gone = {index: _two_of_four(kernel) for index, kernel in kernels.items()}
    else:
        settings = {"granularity": granularity, "ratio": ratio, "within": within}
        sizes = {index: kernel.abs() for index, kernel in kernels.items()}
        if granularity == "kernel":
            settings["norm"] = norm
            power = 1 if norm == "l1" else 2
            sizes = {
                index: size.double().pow(power).mean(dim=(2, 3), keepdim=True)
                for index, size in sizes.items()
            }
        if within == "layer":
            gone = {index: _smallest([size], ratio)[0] for index, size in sizes.items()}
        else:
            held = [_without_floor(size, layer_keep) for size in sizes.values()]
            gone = dict(zip(sizes, _smallest(held, ratio), strict=True))
    if dense is not None:
        settings["dense"] = sorted(dense)
    weights: Weights = dict(bundle.weights)
    for index, kernel in kernels.items():
        weights[f"{index}.conv.weight"] = kernel.masked_fill(gone[index], 0.0)
    return bundle.then("zero", settings, weights=weights)


def left_alone(
    cfg: Cfg, granularity: Granularity, dense: Collection[int] | None = None
) -> dict[int, str]:
    """Each convolution with a kernel of its own, and why it stays dense: '' where it does not."""
    stay = head_maps(cfg) if dense is None else dense
    reasons: dict[int, str] = {}
    for index, (section, tensors) in enumerate(zip(cfg, tensor_shapes(cfg), strict=True)):
        if not isinstance(section, Conv) or "conv.weight" not in tensors:
            continue
        n_inputs = tensors["conv.weight"][1]
        if index in stay:
            reason = "read by a head" if index in head_maps(cfg) else "named in --dense"
        elif section.xnor:
            reason = "its weights are signs: 0 is none"
        elif granularity == "2:4" and n_inputs % 4:
            reason = f"each filter reads {n_inputs} channels: no multiple of 4"
        else:
            reason = ""
        reasons[index] = reason
    return reasons


def kernel_zeros(
    bundle: Bundle, granularity: Granularity, dense: Collection[int] | None = None
) -> tuple[KernelZeros, ...]:
    """How many numbers of each convolution are 0, and why some were left alone."""
    return tuple(
        KernelZeros(index, kernel.numel(), int((kernel == 0).sum()), reason)
        for index, reason in left_alone(bundle.cfg, granularity, dense).items()
        for kernel in (bundle.weights[f"{index}.conv.weight"],)
    )


def _two_of_four(kernel: Tensor) -> Tensor:
    """bool, as `kernel` [C_out, C_in, k, k], C_in a multiple of 4: the two least of each four."""
    c_out, c_in, *size = kernel.shape
    fours = kernel.abs().view(c_out, c_in // 4, 4, *size)
    order = fours.argsort(dim=2, stable=True)
    gone = torch.zeros_like(fours, dtype=torch.bool)
    gone.scatter_(2, order[:, :, :2], True)
    return gone.view(kernel.shape)


def _smallest(sizes: list[Tensor], ratio: float) -> list[Tensor]:
    """bool, as `sizes`: the share `ratio` of all numbers that are least; never one that is inf.

    Exactly that many: of equal ones the first.
    """
    if not sizes:
        return []
    flat = torch.cat([size.flatten() for size in sizes])
    n_gone = min(round(ratio * len(flat)), int(flat.isfinite().sum()))
    gone = torch.zeros_like(flat, dtype=torch.bool)
    if n_gone:
        threshold = flat.kthvalue(n_gone).values
        gone = flat < threshold
        level = torch.nonzero(flat == threshold).flatten()
        gone[level[: n_gone - int(gone.sum())]] = True
    parts = torch.split(gone, [size.numel() for size in sizes])
    return [part.view(size.shape) for part, size in zip(parts, sizes, strict=True)]


def _without_floor(size: Tensor, layer_keep: float) -> Tensor:
    """`size` with its largest numbers, the share `layer_keep` and at least one, made inf: they
    are not for choice."""
    flat = size.flatten().clone()
    n_kept = max(1, ceil(len(flat) * layer_keep))
    flat[flat.topk(n_kept).indices] = float("inf")
    return flat.view(size.shape)
