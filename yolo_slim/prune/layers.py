"""Layer pruning: whole residual blocks go, the lowest score first.

A stage may lose all its blocks: the convolution that halves the map, and what projects to its
width, are in no block, so the network stays whole. How many to drop is the caller's choice alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Block, Cfg, drop_blocks, residual_blocks
from yolo_slim.errors import InputError
from yolo_slim.weights import renumbered

Scores = NDArray[np.float64]

Rank = Callable[[Bundle, tuple[Block, ...]], Scores]
"""A bundle and its blocks -> float64 [n_blocks]; the lowest goes first."""


@dataclass(frozen=True)
class LayerPlan:
    """blocks: all of `cfg`, with their `scores`; dropped: those that go, in the order they do."""

    cfg: Cfg
    blocks: tuple[Block, ...]
    scores: Scores
    dropped: tuple[Block, ...]


def plan_layers(bundle: Bundle, n_layers: int, rank: Rank) -> LayerPlan:
    """The `n_layers` lowest-ranked blocks. One that holds others goes after them, so that each
    that goes is one shortcut less.

    Raises InputError, with the largest number there is, for more; before anything is ranked.
    """
    blocks = count_layers(bundle, n_layers)
    scores = rank(bundle, blocks)
    ahead = sorted(range(len(blocks)), key=lambda k: (scores[k], k))  # ties: nearest to the image
    dropped: list[Block] = []
    for _ in range(n_layers):
        following = next(
            k for k in ahead if not any(blocks[k].holds(blocks[j]) for j in ahead if j != k)
        )
        ahead.remove(following)
        dropped.append(blocks[following])
    return LayerPlan(bundle.cfg, blocks, scores, tuple(dropped))


def plan_layers_to(
    bundle: Bundle, cost: Callable[[Cfg], float], target: float, rank: Rank,
    tell: Callable[[float], str] = "{:.4g}".format,
) -> LayerPlan:  # fmt: skip
    """As few of the lowest-ranked blocks as bring cost(cfg) to the target, by bisection; none where
    it is met already.

    cost: of a network without some blocks, in any unit; it should fall as they go. tell: a cost in
    words. Raises InputError, with the least there is, where all blocks together are not enough;
    before anything is ranked.
    """
    blocks = count_layers(bundle)
    whole, least = cost(bundle.cfg), cost(drop_blocks(bundle.cfg, blocks)[0])
    if whole > target and least > target:
        raise InputError(
            f"{tell(target)} cannot be reached by layers alone: without all {len(blocks)} blocks "
            f"that could go it is {tell(least)}; allow that much, or cut channels, too"
        )
    plan = plan_layers(bundle, len(blocks), rank)
    missed, met = (-1, 0) if whole <= target else (0, len(blocks))
    while met - missed > 1:
        middle = (missed + met) // 2
        if cost(drop_blocks(bundle.cfg, plan.dropped[:middle])[0]) <= target:
            met = middle
        else:
            missed = middle
    return replace(plan, dropped=plan.dropped[:met])


def count_layers(bundle: Bundle, n_layers: int = 1) -> tuple[Block, ...]:
    """The blocks of a bundle. Raises InputError where `n_layers` of them cannot go."""
    bundle.require_batchnorm("prune")
    blocks = residual_blocks(bundle.cfg)
    if not blocks:
        raise InputError(
            f"{bundle.cfg.source} has no residual block that could go; prune its channels instead"
        )
    if not 1 <= n_layers <= len(blocks):
        raise InputError(
            f"--layers {n_layers}: {bundle.cfg.source} has {len(blocks)} residual blocks that "
            f"could go; ask for 1 to {len(blocks)}"
        )
    return blocks


def take_layers(bundle: Bundle, blocks: Iterable[Block]) -> Bundle:
    """The bundle without these blocks: a shorter cfg; every other tensor as it was, under the key
    of its section's new place."""
    bundle.require_batchnorm("prune")
    blocks = tuple(blocks)
    cfg, moved = drop_blocks(bundle.cfg, blocks)
    weights = renumbered(bundle.weights, moved)
    shortcuts = sorted(block.shortcut for block in blocks)
    return bundle.then("take_layers", {"shortcuts": shortcuts}, cfg=cfg, weights=weights)
