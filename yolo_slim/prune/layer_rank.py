"""How much a residual block matters: three answers, each one number a block, the lowest goes first.

gamma asks the weights, similarity asks images, drop_one asks the detector without the block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Batchnorm, Block, Cfg, Connected, Conv, infer_shapes
from yolo_slim.cfg.sections import Gate
from yolo_slim.prune.layers import Scores, take_layers
from yolo_slim.weights import network_of


def gamma(bundle: Bundle, blocks: Sequence[Block]) -> Scores:
    """Mean |gamma| of the last BatchNorms of each branch, as a share of the mean of its stage.

    A stage is the blocks whose result has one shape: the level of gamma differs from stage to
    stage, and says nothing of a block's worth; what differs within a stage does. A stage of one
    block is 1. A branch without BatchNorm cannot be judged: +inf.
    """
    shapes = infer_shapes(bundle.cfg)
    levels = np.full(len(blocks), np.inf)
    for place, block in enumerate(blocks):
        norms = sorted(set(last_norms(bundle.cfg, block)))
        if norms:
            gammas = [bundle.weights[f"{index}.bn.weight"] for index in norms]
            levels[place] = float(torch.cat(gammas).abs().double().mean())
    scores = levels.copy()
    for shape in {shapes[block.shortcut] for block in blocks}:
        stage = np.array([shapes[block.shortcut] == shape for block in blocks])
        stage &= np.isfinite(levels)
        if stage.any():
            scores[stage] = levels[stage] / max(levels[stage].mean(), 1e-12)
    return scores


def similarity(
    bundle: Bundle,
    blocks: Sequence[Block],
    batches: Iterable[Tensor],
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """How unlike its input the output of each block is: |output - input| / |output|, the mean over
    all images; 0 for a block that hands its input on.

    batches: images [B, C, H, W], 0..1. progress: called with the number of images seen.
    Raises ValueError where there are no images.
    """
    network = network_of(bundle.cfg, bundle.weights)
    dtype = next(network.parameters()).dtype
    taps = {index for block in blocks for index in (block.source, block.shortcut)}
    change, n_images = np.zeros(len(blocks)), 0
    for batch in batches:
        for image in batch.to(dtype):  # one at a time: the maps of all blocks are held at once
            with torch.no_grad():
                _, maps = network.forward_with_taps(image[None], taps)
            for place, block in enumerate(blocks):
                output = maps[block.shortcut].double()
                moved = (output - maps[block.source].double()).norm()
                change[place] += float(moved / output.norm().clamp(min=1e-12))
            n_images += 1
        if progress is not None:
            progress(n_images)
    if n_images == 0:
        raise ValueError("no images to compare the blocks on")
    return change / n_images


def drop_one(
    bundle: Bundle,
    blocks: Sequence[Block],
    score: Callable[[Bundle], float],
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """What each block alone is worth: the score of the whole less that without the block.

    score: the higher the better, such as AP; called once for the bundle and once a block.
    progress: called with the number of scores done, and of all.
    """
    scores: list[float] = []
    for place, dropped in enumerate([(), *((block,) for block in blocks)]):
        scores.append(score(take_layers(bundle, dropped) if dropped else bundle))
        if progress is not None:
            progress(place + 1, len(blocks) + 1)
    return scores[0] - np.array(scores[1:], dtype=np.float64)


def last_norms(cfg: Cfg, block: Block) -> Iterator[int]:
    """The sections whose BatchNorm is the last on each way through the branch to the shortcut.

    Of a gate it is the gated map's: what squeeze-and-excitation multiplies it by is no size.
    """
    ahead = list(cfg.links(block.shortcut))
    while ahead:
        index = ahead.pop()
        if index not in block.branch:
            continue
        section = cfg[index]
        if isinstance(section, Conv | Connected) and section.batch_normalize:
            shared = section.share_index if isinstance(section, Conv) else None
            yield index if shared is None else _owner(cfg, shared)
        elif isinstance(section, Batchnorm):
            yield index
        else:
            ahead += [section.source] if isinstance(section, Gate) else cfg.links(index)


def _owner(cfg: Cfg, index: int) -> int:
    section = cfg[index]
    shared = section.share_index if isinstance(section, Conv) else None
    return index if shared is None else _owner(cfg, shared)
