"""Three functions with a law between them: take(mask(bundle)) computes what mask(bundle) does.

mask    silences the channels that go: their output is 0 everywhere.
absorb  moves the constant that a silenced channel used to send into what reads it.
take    cuts them out of the tensors and the cfg.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    IMAGE,
    Avgpool,
    Conv,
    Coupling,
    Dropout,
    Maxpool,
    Route,
    Shortcut,
    Upsample,
    infer_shapes,
    input_shape,
)
from yolo_slim.cfg.coupling import NOT_ZERO_AT_ZERO, is_depthwise
from yolo_slim.nn.blocks import ACTIVATION_FUNCTIONS
from yolo_slim.prune.plan import Plan
from yolo_slim.weights import Weights

SILENT = {name: -1e4 for name in NOT_ZERO_AT_ZERO}
"""What goes into an activation so that 0 comes out, where that is not 0."""


def mask(bundle: Bundle, plan: Plan) -> Bundle:
    """The bundle at its old widths; every channel that `plan` drops is 0 after its activation."""
    weights = dict(bundle.weights)
    for index, section in enumerate(bundle.cfg):
        if not isinstance(section, Conv):
            continue
        gone = _tensor(~plan.kept(index))
        silent = SILENT.get(section.activation, 0.0)
        if section.batch_normalize:
            weights[f"{index}.bn.weight"] = weights[f"{index}.bn.weight"].masked_fill(gone, 0.0)
            weights[f"{index}.bn.bias"] = weights[f"{index}.bn.bias"].masked_fill(gone, silent)
        else:
            kernel = weights[f"{index}.conv.weight"]
            weights[f"{index}.conv.weight"] = kernel.masked_fill(gone.view(-1, 1, 1, 1), 0.0)
            weights[f"{index}.conv.bias"] = weights[f"{index}.conv.bias"].masked_fill(gone, silent)
    return bundle.then("mask", {"ratio": plan.ratio}, weights=weights)


def absorb(bundle: Bundle, plan: Plan) -> Bundle:
    """Keeps what the dropped channels send on average, before they are masked or taken.

    A channel whose gamma is near 0 sends act(beta) everywhere. That constant is followed through
    additions, concatenations and pools to every convolution that reads it, whose BatchNorm mean
    (or bias) takes over kernel-sum x constant. Exact in evaluation mode where gamma is 0 and the
    reader is 1x1 or away from the border: at the border a padded kernel sees fewer taps.
    """
    bundle.require_batchnorm("absorb")
    weights = dict(bundle.weights)
    constants: dict[int, Tensor] = {IMAGE: torch.zeros(bundle.cfg.net.channels)}
    shapes = infer_shapes(bundle.cfg)
    for index, section in enumerate(bundle.cfg):
        first, *others = (constants[link] for link in bundle.cfg.links(index))
        match section:
            case Conv():
                in_channels = input_shape(bundle.cfg, shapes, index).channels
                offset = _offset(weights[f"{index}.conv.weight"], first, section.groups)
                _shift(weights, index, offset, section.batch_normalize)
                gone = _tensor(~plan.kept(index))
                if section.batch_normalize:
                    beta = weights[f"{index}.bn.bias"].float()
                    if is_depthwise(section, in_channels):
                        beta = _constant_through_bn(weights, index, offset, bundle.cfg.net.bn_eps)
                    sent = ACTIVATION_FUNCTIONS[section.activation](beta)
                    constants[index] = torch.where(gone, sent, 0.0)
                else:
                    constants[index] = torch.zeros(section.filters)
            case Shortcut():
                total = first.clone()
                for other in others:
                    shared = min(len(total), len(other))
                    total[:shared] += other[:shared]
                gone = _tensor(~plan.kept(index))
                activated = ACTIVATION_FUNCTIONS[section.activation](total)
                constants[index] = torch.where(gone, activated, 0.0)
            case Route():
                parts = [c.chunk(section.groups)[section.group_id] for c in (first, *others)]
                constants[index] = torch.cat(parts)
            case Maxpool() | Upsample() | Avgpool() | Dropout():
                constants[index] = first
            case _:  # a gate multiplies: nothing constant can be said of it
                constants[index] = torch.zeros(shapes[index].channels)
    return bundle.then("absorb", {"ratio": plan.ratio}, weights=weights)


def take(bundle: Bundle, plan: Plan) -> Bundle:
    """The bundle without the channels that `plan` drops: a narrower cfg and the tensors' rest."""
    weights: Weights = {}
    for index, section in enumerate(bundle.cfg):
        if not isinstance(section, Conv):
            continue
        kept = torch.from_numpy(np.flatnonzero(plan.kept(index)))
        for name in ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "conv.bias"):
            key = f"{index}.{name}"
            if key in bundle.weights:
                weights[key] = bundle.weights[key][kept]
        kernel = bundle.weights[f"{index}.conv.weight"][kept]
        kept_in = _kept_in_group(plan.coupling, plan, bundle, index, section)
        weights[f"{index}.conv.weight"] = kernel if kept_in is None else kernel[:, kept_in]
    return bundle.then("take", {"ratio": plan.ratio}, cfg=plan.narrowed, weights=weights)


def _kept_in_group(
    coupling: Coupling, plan: Plan, bundle: Bundle, index: int, section: Conv
) -> Tensor | None:
    """Positions along the kernel's second axis that stay; None for a depthwise kernel."""
    kept = plan.kept(bundle.cfg.links(index)[0])
    if is_depthwise(section, len(kept)):
        return None
    # Groups are tied channel by channel, so the first one speaks for all.
    return torch.from_numpy(np.flatnonzero(kept[: len(kept) // section.groups]))


def _offset(kernel: Tensor, constant: Tensor, groups: int) -> Tensor:
    """What a map that is `constant` [C_in] everywhere adds to each output channel, [C_out]."""
    sums = kernel.float().sum(dim=(2, 3))  # [C_out, C_in / groups]
    per_group = constant.view(groups, -1).repeat_interleave(len(sums) // groups, dim=0)
    return (sums * per_group).sum(dim=1)


def _shift(weights: Weights, index: int, offset: Tensor, batch_normalize: bool) -> None:
    if batch_normalize:
        key = f"{index}.bn.running_mean"
        weights[key] = weights[key] - offset.to(weights[key])
    else:
        key = f"{index}.conv.bias"
        weights[key] = weights[key] + offset.to(weights[key])


def _constant_through_bn(weights: Weights, index: int, offset: Tensor, eps: float) -> Tensor:
    """BatchNorm of a dropped depthwise channel, whose input is the constant that made `offset`."""
    # The mean has been shifted by the offset already; the channel itself still receives it.
    mean = weights[f"{index}.bn.running_mean"].float() + offset
    scale = (
        weights[f"{index}.bn.weight"].float()
        / (weights[f"{index}.bn.running_var"].float() + eps).sqrt()
    )
    return (offset - mean) * scale + weights[f"{index}.bn.bias"].float()


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
