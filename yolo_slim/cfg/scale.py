"""Compound scaling: depth, width and input size of a network grow or shrink together.

Tan and Le, EfficientNet, 2019; for shrinking, Han et al., Model Rubik's Cube (TinyNet), 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product as every
from typing import NamedTuple

from yolo_slim.cfg.deepen import deepen
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.edit import resize
from yolo_slim.cfg.sections import (
    IMAGE,
    Avgpool,
    Connected,
    Local,
    Reorg,
    Reorg3d,
    Strided,
    Upsample,
)
from yolo_slim.cfg.widen import widen
from yolo_slim.errors import InputError

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""What EfficientNet found on its grid, and scaled B0 with."""


class Candidate(NamedTuple):
    """A point of the grid: bases of depth, width and input size, and the network at phi = 1."""

    alpha: float
    beta: float
    gamma: float
    cfg: Cfg


def scale(
    cfg: Cfg, phi: float, alpha: float = ALPHA, beta: float = BETA, gamma: float = GAMMA
) -> Cfg:
    """alpha^phi times the depth, beta^phi times the width, gamma^phi times the input's sides.

    MACs go with about (alpha * beta^2 * gamma^2)^phi. phi: any number; below 0 the network
    shrinks. Sides are rounded to the nearest multiple of the coarsest stride; anchors stay, as in
    `resize`.

    Raises InputError for numbers that are no factors, CfgError as `deepen`, `widen` and `resize`.
    """
    try:
        depth, width, size = alpha**phi, beta**phi, gamma**phi
    except (OverflowError, ZeroDivisionError):
        depth = width = size = 0.0
    if any(isinstance(f, complex) or not 0 < f < float("inf") for f in (depth, width, size)):
        raise InputError(
            f"alpha={alpha:g}, beta={beta:g}, gamma={gamma:g} to the power of phi={phi:g}: "
            "expected positive numbers, neither too large nor too small"
        )
    scaled = widen(deepen(cfg, depth), width)
    if size == 1:
        return scaled
    stride = coarsest_stride(cfg)
    height, width_px = (max(1, round(side * size / stride)) * stride for side in cfg.input_hw)
    return resize(scaled, height, width_px)


def coarsest_stride(cfg: Cfg) -> int:
    """Pixels of the input to one of the coarsest map, global pools and matrices aside."""
    strides = {IMAGE: 1.0}
    for index, section in enumerate(cfg):
        stride = max(strides[link] for link in cfg.links(index))
        match section:
            case Avgpool() | Connected():
                stride = 1
            case Strided():
                stride *= max(section.strides_hw)
            case Local(stride=own) | Reorg(stride=own) | Reorg3d(stride=own):
                stride *= own
            case Upsample(stride=own):
                stride /= own
        strides[index] = stride
    return max(1, round(max(strides.values())))


def search(
    cfg: Cfg,
    alphas: Iterable[float],
    betas: Iterable[float],
    gammas: Iterable[float],
    product: float = 2.0,
    tolerance: float = 0.1,
) -> tuple[Candidate, ...]:
    """The grid's points with |alpha * beta^2 * gamma^2 - product| <= tolerance, each with its
    network at phi = 1: the candidates of EfficientNet's first step, to train and `reward`."""
    return tuple(
        Candidate(alpha, beta, gamma, scale(cfg, 1, alpha, beta, gamma))
        for alpha, beta, gamma in every(alphas, betas, gammas)
        if abs(alpha * beta**2 * gamma**2 - product) <= tolerance + 1e-9
    )


def reward(ap: float, macs: float, target_macs: float, w: float = -0.07) -> float:
    """AP * (MACs / target)^w, which candidates are compared by (Tan et al., MnasNet, 2019).

    At w = -0.07 twice the MACs are worth 5 % more AP. AP in any unit.

    >>> round(reward(0.40, 2e9, 1e9), 4)
    0.3811
    """
    if not (macs > 0 and target_macs > 0):
        raise InputError(f"macs={macs:g}, target={target_macs:g}: expected positive numbers")
    return float(ap * (macs / target_macs) ** w)
