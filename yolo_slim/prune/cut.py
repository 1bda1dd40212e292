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
    Activation,
    Avgpool,
    Batchnorm,
    Cfg,
    Connected,
    Conv,
    Cost,
    Dropout,
    Maxpool,
    Reorg3d,
    Route,
    Section,
    Select,
    Shortcut,
    Shuffle,
    Upsample,
    infer_shapes,
    input_shape,
)
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.fold import affine
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
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
    for index, section in enumerate(bundle.cfg):
        inputs = [constants[link] for link in bundle.cfg.links(index)]
        if isinstance(section, Conv):
            constants[index] = _absorb_conv(weights, bundle.cfg, index, section, inputs[0], plan)
        else:
            constants[index] = _passed_on(section, inputs, _tensor(~plan.kept(index)))
    return bundle.then("absorb", {"ratio": plan.ratio}, weights=weights)


def _absorb_conv(
    weights: Weights, cfg: Cfg, index: int, section: Conv, read: Tensor, plan: Plan
) -> Tensor:
    """Shifts a convolution by the constants [C_in] it reads; returns those [C_out] it sends."""
    if section.share_index is not None or section.xnor or _is_shared(cfg, index):
        return torch.zeros(section.filters)  # one shift would not suit every reader
    offset = _offset(weights[f"{index}.conv.weight"], read, section.groups)
    _shift(weights, index, offset, section.batch_normalize)
    if not section.batch_normalize:
        return torch.zeros(section.filters)
    beta = weights[f"{index}.bn.bias"].float()
    if is_depthwise(section, len(read)):
        # The mean has been shifted by the offset already; the channel itself still receives it.
        beta = affine(weights, index, cfg.net.bn_eps)[1].float()
    sent = ACTIVATION_FUNCTIONS[section.activation](beta)
    return torch.where(_tensor(~plan.kept(index)), sent, 0.0)


def _is_shared(cfg: Cfg, index: int) -> bool:
    return any(isinstance(s, Conv) and s.share_index == index for s in cfg)


def _passed_on(section: Section, inputs: list[Tensor], gone: Tensor) -> Tensor:
    """The constants that a section without a kernel sends, from those of its inputs."""
    first = inputs[0]
    match section:
        case Shortcut(weights_type="none"):
            total = first.clone()
            for other in inputs[1:]:
                shared = min(len(total), len(other))
                total[:shared] += other[:shared]
            return torch.where(gone, ACTIVATION_FUNCTIONS[section.activation](total), 0.0)
        case Activation():
            return torch.where(gone, ACTIVATION_FUNCTIONS[section.activation](first), 0.0)
        case Route():
            return torch.cat([c.chunk(section.groups)[section.group_id] for c in inputs])
        case Reorg3d():
            return first.repeat(section.stride**2)
        case Select():
            return first[list(section.channels)]
        case Shuffle():
            return first.view(section.groups, -1).T.flatten()
        case Upsample():
            return first * section.scale
        case Maxpool(depth_channels=0) | Avgpool() | Dropout() | Cost():
            return first
    return torch.zeros(len(gone))  # a gate multiplies: nothing constant can be said of it


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


def _positions(kept: np.ndarray) -> Tensor:
    return torch.from_numpy(np.flatnonzero(kept))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
