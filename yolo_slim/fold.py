"""Folds every BatchNorm into the convolution before it: the same function with fewer numbers."""

from __future__ import annotations

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Conv, without_batchnorm
from yolo_slim.weights import Weights


def fold_batchnorm(bundle: Bundle) -> Bundle:
    """kernel' = kernel * gamma / sqrt(var + eps), bias' = beta - mean * gamma / sqrt(var + eps).

    Equal to the unfolded bundle in evaluation mode up to rounding. A folded bundle can be
    quantized and exported, and no longer sparsified or pruned.
    """
    if bundle.is_folded:
        return bundle
    weights: Weights = {}
    for index, section in enumerate(bundle.cfg):
        if not isinstance(section, Conv):
            continue
        kernel = bundle.weights[f"{index}.conv.weight"]
        if section.batch_normalize:
            gamma, beta, mean, var = (
                bundle.weights[f"{index}.bn.{name}"].double()
                for name in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / (var + bundle.cfg.net.bn_eps).sqrt()
            weights[f"{index}.conv.bias"] = (beta - mean * scale).to(kernel)
            kernel = (kernel.double() * scale.view(-1, 1, 1, 1)).to(kernel)
        else:
            weights[f"{index}.conv.bias"] = bundle.weights[f"{index}.conv.bias"]
        weights[f"{index}.conv.weight"] = kernel
    return bundle.then("fold", {}, cfg=without_batchnorm(bundle.cfg), weights=weights)
