"""The two steps by which a penalty pulls gammas towards 0, apart from loss and optimizer.

The penalty of a group of k gammas is amount * sqrt(k) * their joint norm (Yuan and Lin, 2006); that
of a gamma alone is amount * |gamma|. So no group is favoured for its size: k equal gammas move by
`amount` each, together or alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yolo_slim.cfg.coupling import Atoms

_TINY = 1e-30
"""Below every norm but 0: what is divided by it moves less than it is long."""


@dataclass(frozen=True)
class Groups:
    """members: int64 [G, K], the gammas of each group of two or more; N, one after the last, where
    a group has fewer than K. All others are alone. root: float [N], sqrt(k) of each one's group.

    A table and no scattered sum: on a GPU that would add in any order, and processes that train
    together would drift apart.
    """

    members: Tensor
    root: Tensor

    @classmethod
    def of(cls, classes: Atoms) -> Groups:
        """Those of one class number together. classes: int64 [N]."""
        n, sizes = len(classes), np.bincount(classes)
        shared = [np.flatnonzero(classes == c) for c in np.flatnonzero(sizes > 1)]
        widest = max((len(indices) for indices in shared), default=1)
        table = np.full((len(shared), widest), n)
        for row, indices in zip(table, shared, strict=True):
            row[: len(indices)] = indices
        return cls(torch.from_numpy(table), torch.from_numpy(np.sqrt(sizes[classes])))

    @classmethod
    def alone(cls, n: int) -> Groups:
        return cls.of(np.arange(n))

    def to(self, like: Tensor) -> Groups:
        return Groups(self.members.to(like.device), self.root.to(like.device, like.dtype))

    def norms(self, gammas: Tensor) -> Tensor:
        """The joint norm of each one's group, [N]."""
        nothing = gammas.new_zeros(1)
        squares = torch.cat((gammas.square(), nothing))
        joint = squares[self.members].sum(dim=1, keepdim=True).sqrt()  # [G, 1]
        norms = torch.cat((gammas.abs(), nothing))
        norms[self.members] = joint.expand_as(self.members)
        return norms[:-1]


Step = Callable[[Tensor, Tensor, Groups], Tensor]
"""gammas [N], amounts [N] (equal within a group), groups -> the gammas after the step."""


def proximal(gammas: Tensor, amounts: Tensor, groups: Groups) -> Tensor:
    """argmin over z of penalty(z) + |z - gammas|^2 / 2: towards 0 by `amounts`, and no further."""
    norms = groups.norms(gammas)
    return gammas * (1 - amounts * groups.root / norms.clamp(min=_TINY)).clamp(min=0)


def subgradient(gammas: Tensor, amounts: Tensor, groups: Groups) -> Tensor:
    """gammas - amounts * sign(gammas), as in Liu et al. (2017): around 0 it goes to and fro."""
    norms = groups.norms(gammas)
    return gammas - amounts * groups.root * gammas / norms.clamp(min=_TINY)


STEPS: dict[str, Step] = {"proximal": proximal, "sign": subgradient}
