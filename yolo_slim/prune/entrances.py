"""Channel selection: what the blocks of a pre-activation network read, by the gammas there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg.coupling import Mask
from yolo_slim.cfg.entrances import entrances, with_selection
from yolo_slim.errors import InputError
from yolo_slim.prune.limits import Limits
from yolo_slim.weights import renumbered

Kept = Mapping[int, Mask]
"""Index of a [batchnorm] at an entrance -> bool [channels], which of them its block still reads."""


def plan_entrances(bundle: Bundle, ratio: float, layer_keep: float = 0.05) -> Kept:
    """The lowest `ratio` of all |gamma| at entrances go, by one threshold (Liu et al., 2017).

    Every entrance keeps `layer_keep` of its channels, and at least one. Raises InputError for a
    network without entrances, a bundle whose BatchNorm is folded, a ratio out of 0..1.
    """
    bundle.require_batchnorm("prune")
    if not 0 <= ratio < 1:
        raise InputError(f"--select {ratio}: expected 0 up to, not with, 1")
    found = entrances(bundle.cfg)
    if not found:
        raise InputError(
            f"--select: {bundle.cfg.source} has no BatchNorm before its convolutions: its channels "
            "can be cut themselves, with --ratio"
        )
    gammas = {
        entrance.norm: bundle.weights[f"{entrance.norm}.bn.weight"].abs().double().numpy()
        for entrance in found
    }
    every = np.concatenate(list(gammas.values()))
    place = np.concatenate([np.full(len(values), norm) for norm, values in gammas.items()])
    gone = np.zeros(len(every), bool)
    gone[np.argsort(every, kind="stable")[: round(ratio * len(every))]] = True
    limits, kept = Limits(layer_keep), dict[int, Mask]()
    for norm, values in gammas.items():
        mask = ~gone[place == norm]
        least = limits.least(len(values))
        if mask.sum() < least:
            mask = np.zeros(len(values), bool)
            mask[np.argsort(-values, kind="stable")[:least]] = True
        kept[norm] = mask
    return kept


def mask_entrances(bundle: Bundle, kept: Kept) -> Bundle:
    """The bundle as it is, with gamma and beta 0 where a block is not to read."""
    weights = dict(bundle.weights)
    for norm, mask in kept.items():
        for name in ("weight", "bias"):
            key = f"{norm}.bn.{name}"
            weights[key] = torch.where(torch.from_numpy(mask), weights[key], 0.0)
    return bundle.then("mask_entrances", {}, weights=weights)


def take_entrances(bundle: Bundle, kept: Kept) -> Bundle:
    """The bundle with a [select] before each of these BatchNorms, which then has only the channels
    that are kept, and so have the kernels behind it. Computes what `mask_entrances` does."""
    chosen = {norm: mask for norm, mask in kept.items() if not mask.all()}
    cfg, moved = with_selection(
        bundle.cfg, {norm: np.flatnonzero(mask).tolist() for norm, mask in chosen.items()}
    )
    weights = dict(bundle.weights)
    for entrance in entrances(bundle.cfg):
        if entrance.norm not in chosen:
            continue
        places = torch.from_numpy(np.flatnonzero(chosen[entrance.norm]))
        for name in ("weight", "bias", "running_mean", "running_var"):
            key = f"{entrance.norm}.bn.{name}"
            weights[key] = weights[key][places]
        for conv in entrance.convs:
            weights[f"{conv}.conv.weight"] = weights[f"{conv}.conv.weight"][:, places]
    there = renumbered(weights, moved)
    n_gone = sum(int((~mask).sum()) for mask in kept.values())
    n_all = sum(len(mask) for mask in kept.values())
    settings = {"ratio": n_gone / n_all if n_all else 0.0}
    return bundle.then("take_entrances", settings, cfg=cfg, weights=there)
