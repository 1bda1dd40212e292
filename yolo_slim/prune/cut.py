"""Two functions with a law between them: take(mask(bundle)) computes what mask(bundle) does.

mask silences the channels that go: their output is 0 everywhere. take cuts them out of the tensors
and the cfg. What they used to send is moved to their readers before, by `absorb`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    Batchnorm,
    Connected,
    Conv,
    Shortcut,
    infer_shapes,
    input_shape,
)
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.prune.plan import Plan
from yolo_slim.weights import Weights

SILENT = {"logistic": -1e4, "hsigmoid": -1e4, "plse": -4.0}
"""What goes into an activation so that 0 comes out, where that is not 0."""


def mask(bundle: Bundle, plan: Plan) -> Bundle:
    """The bundle at its old widths; every channel that `plan` drops is 0 after its activation."""
    weights = dict(bundle.weights)
    for index, section in enumerate(bundle.cfg):
        gone = _tensor(~plan.kept(index))
        silent = SILENT.get(getattr(section, "activation", "linear"), 0.0)
        match section:
            case Conv(batch_normalize=True) | Connected(batch_normalize=True) | Batchnorm():
                _fill(weights, f"{index}.bn.weight", gone, 0.0)
                _fill(weights, f"{index}.bn.bias", gone, silent)
            case Conv():
                _fill(weights, f"{index}.conv.weight", gone, 0.0)
                _fill(weights, f"{index}.conv.bias", gone, silent)
            case Connected():
                _fill(weights, f"{index}.connected.weight", gone, 0.0)
                _fill(weights, f"{index}.connected.bias", gone, silent)
    return bundle.then("mask", {"ratio": plan.ratio}, weights=weights)


def take(bundle: Bundle, plan: Plan) -> Bundle:
    """The bundle without the channels that `plan` drops: a narrower cfg and the tensors' rest."""
    shapes = infer_shapes(bundle.cfg)
    weights: Weights = dict(bundle.weights)
    for index, section in enumerate(bundle.cfg):
        kept = _positions(plan.kept(index))
        kept_in = plan.kept(bundle.cfg.links(index)[0])
        for name in ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "conv.bias",
                     "connected.bias"):  # fmt: skip
            _index(weights, f"{index}.{name}", kept, dim=0)
        match section:
            case Conv():
                _index(weights, f"{index}.conv.weight", kept, dim=0)
                if not is_depthwise(section, len(kept_in)):
                    # Groups are tied channel by channel, so the first one speaks for all.
                    first_group = _positions(kept_in[: len(kept_in) // section.groups])
                    _index(weights, f"{index}.conv.weight", first_group, dim=1)
            case Connected():
                read = input_shape(bundle.cfg, shapes, index)
                columns = _positions(np.repeat(kept_in, read.height * read.width))
                _index(weights, f"{index}.connected.weight", kept, dim=0)
                _index(weights, f"{index}.connected.weight", columns, dim=1)
            case Shortcut(weights_type="per_channel"):
                _index(weights, f"{index}.weight", kept, dim=1)
    return bundle.then("take", {"ratio": plan.ratio}, cfg=plan.narrowed, weights=weights)


def _index(weights: Weights, key: str, kept: Tensor, dim: int) -> None:
    if key in weights:
        weights[key] = weights[key].index_select(dim, kept)


def _fill(weights: Weights, key: str, gone: Tensor, value: float) -> None:
    """The entries along axis 0 that are `gone` become `value`; nothing without such a key."""
    if key in weights:
        tensor = weights[key]
        along = gone.view(-1, *(1,) * (tensor.dim() - 1))
        weights[key] = tensor.masked_fill(along, value)


def _positions(kept: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(kept))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
