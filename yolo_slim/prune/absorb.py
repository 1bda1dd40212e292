"""Moves what a dropped channel sends on average into its readers, before it is masked or taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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
    Crop,
    Dropout,
    LocalAvgpool,
    Maxpool,
    Reorg3d,
    Route,
    Section,
    Select,
    Shortcut,
    Shuffle,
    Upsample,
)
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.fold import affine
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.prune.plan import Plan
from yolo_slim.weights import Weights

# Gauss-Hermite quadrature for a standard normal distribution: exact for polynomials to degree 63.
_PLACES, _SHARES = (
    torch.from_numpy(scale * values)[:, None]  # float64 [32, 1]
    for scale, values in zip(
        (math.sqrt(2), 1 / math.sqrt(math.pi)), np.polynomial.hermite.hermgauss(32), strict=True
    )
)


@dataclass(frozen=True)
class Sent:
    """What the dropped channels of a map send, [C] each: mean, and standard deviation over places
    and pictures. known: whether these say anything of it; where not, they are 0.

    A channel that stays is not spoken of: 0, 0, known.
    """

    mean: Tensor
    std: Tensor
    known: Tensor

    @classmethod
    def nothing(cls, channels: int) -> Sent:
        """No channel is dropped."""
        zeros = torch.zeros(channels)
        return cls.normal(zeros, zeros)

    @classmethod
    def unknown(cls, channels: int) -> Sent:
        zeros = torch.zeros(channels)
        return cls(zeros, zeros, zeros.bool())

    @classmethod
    def normal(cls, mean: Tensor, std: Tensor) -> Sent:
        return cls(mean, std, torch.ones_like(mean, dtype=torch.bool))

    @property
    def is_still(self) -> Tensor:
        """bool [C]: the same at every place of every picture."""
        return self.known & (self.std == 0)

    def where_still(self, read: Sent, values: Tensor) -> Sent:
        """`values` where what is `read` is the same everywhere, self elsewhere."""
        still = read.is_still
        return Sent(
            torch.where(still, values, self.mean), torch.where(still, 0.0, self.std),
            still | self.known,
        )  # fmt: skip

    def only(self, gone: Tensor) -> Sent:
        return Sent(
            torch.where(gone, self.mean, 0.0), torch.where(gone, self.std, 0.0), ~gone | self.known
        )

    def placed(self, place: Callable[[Tensor], Tensor]) -> Sent:
        """Its channels in another order, or more than once."""
        return Sent(place(self.mean), place(self.std), place(self.known))

    def times(self, factor: float) -> Sent:
        return Sent(self.mean * factor, self.std * abs(factor), self.known)

    def activated(self, activation: str) -> Sent:
        """Moments of f(x) for a normally distributed x, by quadrature; exact where std is 0."""
        function = ACTIVATION_FUNCTIONS[activation]
        values = function((self.mean.double() + self.std.double() * _PLACES).float())  # [32, C]
        mean = (_SHARES * values).sum(dim=0)
        variance = (_SHARES * (values - mean).square()).sum(dim=0)
        still = self.std == 0
        return Sent(
            torch.where(self.known, torch.where(still, function(self.mean), mean.float()), 0.0),
            torch.where(still, 0.0, variance.sqrt().float()),
            self.known,
        )


def absorb(bundle: Bundle, plan: Plan) -> Bundle:
    """Keeps what the dropped channels send on average, before they are masked or taken.

    After its BatchNorm a channel is about normal, with mean beta and deviation |gamma|; its mean
    behind the activation is followed through additions, concatenations and pools to every
    convolution or fully connected section that reads it, whose BatchNorm mean (or bias) takes over
    kernel-sum x mean. Exact in evaluation mode where gamma is 0, so that act(beta) is sent
    everywhere, and the reader is 1x1 or away from the border: at the border a padded kernel sees
    fewer taps.
    """
    bundle.require_batchnorm("absorb")
    weights = dict(bundle.weights)
    sent: dict[int, Sent] = {IMAGE: Sent.nothing(bundle.cfg.net.channels)}
    for index, section in enumerate(bundle.cfg):
        inputs = [sent[link] for link in bundle.cfg.links(index)]
        gone = torch.from_numpy(np.ascontiguousarray(~plan.kept(index)))
        if isinstance(section, Conv):
            sent[index] = _through_conv(weights, bundle.cfg, index, section, inputs[0]).only(gone)
        elif isinstance(section, Connected):
            sent[index] = _through_connected(weights, index, section, inputs[0]).only(gone)
        elif isinstance(section, Batchnorm):
            scale, shift = affine(weights, index, bundle.cfg.net.bn_eps)
            still = (scale * inputs[0].mean + shift).float()
            sent[index] = _normal(weights, index).where_still(inputs[0], still).only(gone)
        else:
            sent[index] = _passed_on(section, inputs, gone)
    return bundle.then("absorb", {"ratio": plan.ratio}, weights=weights)


def _through_conv(weights: Weights, cfg: Cfg, index: int, conv: Conv, read: Sent) -> Sent:
    """Shifts a convolution by what it reads; returns what each of its channels sends."""
    if conv.share_index is not None or conv.xnor or _is_shared(cfg, index):
        return Sent.unknown(conv.filters)  # one shift would not suit every reader
    offset = _offset(weights[f"{index}.conv.weight"], read.mean, conv.groups)
    _shift(weights, index, offset, conv.batch_normalize)
    found = _normal(weights, index) if conv.batch_normalize else Sent.unknown(conv.filters)
    if is_depthwise(conv, len(read.mean)):
        # One that reads a constant sends one. Its mean, or bias, has been shifted by the offset
        # already; the channel itself still receives it.
        each = read.placed(lambda values: values.repeat_interleave(conv.filters // conv.groups))
        shift = (
            affine(weights, index, cfg.net.bn_eps)[1]
            if conv.batch_normalize
            else weights[f"{index}.conv.bias"]
        )
        found = found.where_still(each, shift.float())
    return found.activated(conv.activation)


def _through_connected(weights: Weights, index: int, section: Connected, read: Sent) -> Sent:
    """Shifts a fully connected section, which reads all places of a channel one after the other."""
    kernel = weights[f"{index}.connected.weight"].float()
    offset = kernel.view(len(kernel), len(read.mean), -1).sum(dim=2) @ read.mean
    if not section.batch_normalize:
        _add(weights, f"{index}.connected.bias", offset)
        return Sent.unknown(len(kernel))
    _add(weights, f"{index}.bn.running_mean", -offset)
    return _normal(weights, index).activated(section.activation)


def _normal(weights: Weights, index: int) -> Sent:
    """What comes out of a BatchNorm."""
    beta, gamma = (weights[f"{index}.bn.{name}"].float() for name in ("bias", "weight"))
    return Sent.normal(beta, gamma.abs())


def _is_shared(cfg: Cfg, index: int) -> bool:
    return any(isinstance(s, Conv) and s.share_index == index for s in cfg)


def _passed_on(section: Section, inputs: list[Sent], gone: Tensor) -> Sent:
    """What a section without a kernel sends, from what it reads."""
    first = inputs[0]
    match section:
        case Shortcut(weights_type="none"):
            mean, variance, known = first.mean.clone(), first.std.square(), first.known.clone()
            for other in inputs[1:]:
                shared = min(len(mean), len(other.mean))
                mean[:shared] += other.mean[:shared]
                variance[:shared] += other.std[:shared].square()
                known[:shared] &= other.known[:shared]
            return Sent(mean, variance.sqrt(), known).activated(section.activation).only(gone)
        case Activation():
            return first.activated(section.activation).only(gone)
        case Route():
            part = [s.placed(lambda v: v.chunk(section.groups)[section.group_id]) for s in inputs]
            mean, std, known = (
                torch.cat([getattr(s, name) for s in part]) for name in ("mean", "std", "known")
            )
            return Sent(mean, std, known)
        case Reorg3d():
            return first.placed(lambda values: values.repeat(section.stride**2))
        case Select():
            return first.placed(lambda values: values[list(section.channels)])
        case Shuffle():
            return first.placed(lambda values: values.view(section.groups, -1).T.flatten())
        case Upsample():
            return first.times(section.scale)
        case Maxpool(depth_channels=0) | Avgpool() | LocalAvgpool() | Dropout() | Cost():
            return first
        case Crop(noadjust=True):
            return first
    return Sent.unknown(len(gone))  # a gate multiplies: nothing constant can be said of it


def _offset(kernel: Tensor, constant: Tensor, groups: int) -> Tensor:
    """What a map that is `constant` [C_in] everywhere adds to each output channel, [C_out]."""
    sums = kernel.float().sum(dim=(2, 3))  # [C_out, C_in / groups]
    per_group = constant.view(groups, -1).repeat_interleave(len(sums) // groups, dim=0)
    return (sums * per_group).sum(dim=1)


def _shift(weights: Weights, index: int, offset: Tensor, batch_normalize: bool) -> None:
    if batch_normalize:
        _add(weights, f"{index}.bn.running_mean", -offset)
    else:
        _add(weights, f"{index}.conv.bias", offset)


def _add(weights: Weights, key: str, offset: Tensor) -> None:
    weights[key] = weights[key] + offset.to(weights[key])
