"""Folds every BatchNorm into the kernel before it: the same function with fewer numbers."""

from __future__ import annotations

from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, Conv, without_batchnorm
from yolo_slim.weights import Weights


def fold_batchnorm(bundle: Bundle) -> Bundle:
    """kernel' = kernel * gamma / sqrt(var + eps), bias' = beta - mean * gamma / sqrt(var + eps).

    Equal to the unfolded bundle in evaluation mode up to rounding. A [batchnorm] section, which has
    no kernel before it, stays. A folded bundle can be quantized and exported, and no longer
    sparsified or pruned.
    """
    if bundle.is_folded:
        return bundle
    weights: Weights = dict(bundle.weights)
    for index, section in enumerate(bundle.cfg):
        if not isinstance(section, Conv | Connected) or not section.batch_normalize:
            continue
        if isinstance(section, Conv) and section.share_index is not None:
            continue  # folded with its owner
        name = f"{index}.conv" if isinstance(section, Conv) else f"{index}.connected"
        kernel = weights[f"{name}.weight"]
        scale, shift = affine(weights, index, bundle.cfg.net.bn_eps)
        for key in ("weight", "bias", "running_mean", "running_var"):
            del weights[f"{index}.bn.{key}"]
        weights[f"{name}.bias"] = shift.to(kernel)
        along_outputs = (-1,) + (1,) * (kernel.dim() - 1)
        weights[f"{name}.weight"] = (kernel.double() * scale.view(along_outputs)).to(kernel)
    return bundle.then("fold", {}, cfg=without_batchnorm(bundle.cfg), weights=weights)


def affine(weights: Weights, index: int, bn_eps: float) -> tuple[Tensor, Tensor]:
    """The BatchNorm of section `index` in evaluation mode as y = scale * x + shift, in float64."""
    gamma, beta, mean, var = (
        weights[f"{index}.bn.{name}"].double()
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / (var + bn_eps).sqrt()
    return scale, beta - mean * scale
