"""A residual block that sends nothing: what is added to its input is 0."""

from __future__ import annotations

import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Block, Conv
from yolo_slim.cfg.sections import Gate


def silenced(bundle: Bundle, block: Block) -> Bundle:
    """The branch ends with gamma = beta = 0, or a kernel of zeros where it has no BatchNorm."""
    weights = dict(bundle.weights)
    ahead = [link for link in bundle.cfg.links(block.shortcut) if link in block.branch]
    while ahead:
        index = ahead.pop()
        section = bundle.cfg[index]
        if isinstance(section, Conv):
            assert section.activation not in ("logistic", "hsigmoid", "plse")
            last = "bn" if section.batch_normalize else "conv"
            for name in ("weight", "bias"):
                key = f"{index}.{last}.{name}"
                weights[key] = torch.zeros_like(weights[key])
        elif isinstance(section, Gate):
            ahead.append(section.source)
        else:
            ahead += [link for link in bundle.cfg.links(index) if link in block.branch]
    return Bundle(bundle.cfg, weights)
