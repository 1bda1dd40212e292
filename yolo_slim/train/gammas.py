"""The gammas that sparsity judges, of all BatchNorms one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from yolo_slim.cfg import Batchnorm, Cfg, Conv, Section, channel_macs, couple
from yolo_slim.cfg.coupling import Atoms, Mask
from yolo_slim.nn.network import Network
from yolo_slim.weights import Weights


@dataclass(frozen=True)
class Gammas:
    """Where they are in a network. N: those of channels that may go; frozen ones are left out.

    sections: whose BatchNorm has at least one; widths: their channels.
    free: bool [sum(widths)], which are judged.
    layers: int64 [N], the place in `sections` of each.
    classes: int64 [N], from 0; gammas of one class go together.
    macs: float64 [N], see cfg.channel_macs.
    """

    sections: tuple[int, ...]
    widths: tuple[int, ...]
    free: Mask
    layers: Atoms
    classes: Atoms
    macs: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def n_classes(self) -> int:
        return int(self.classes.max()) + 1 if len(self) else 0

    def parameters(self, network: Network) -> list[nn.Parameter]:
        return [network.get_parameter(f"{index}.bn.weight") for index in self.sections]

    def of_network(self, network: Network) -> Tensor:
        """Their values, [N]."""
        return self._free_ones([p.detach() for p in self.parameters(network)])

    def of_weights(self, weights: Weights) -> Tensor:
        """Their values in a state dict, [N]."""
        return self._free_ones([weights[f"{index}.bn.weight"] for index in self.sections])

    def write(self, network: Network, values: Tensor) -> None:
        """Puts `values`, [N], into the network."""
        parameters = self.parameters(network)
        with torch.no_grad():
            if not self.free.all():
                whole = torch.cat([p.detach() for p in parameters])
                whole[torch.from_numpy(self.free).to(whole.device)] = values
                values = whole
            for parameter, part in zip(
                parameters, torch.split(values, list(self.widths)), strict=True
            ):
                parameter.copy_(part)

    def _free_ones(self, parts: Sequence[Tensor]) -> Tensor:
        whole = torch.cat(list(parts)) if parts else torch.zeros(0)
        if self.free.all():  # as nearly always: nothing has to be picked
            return whole
        return whole[torch.from_numpy(self.free).to(whole.device)]


def judged(cfg: Cfg) -> Gammas:
    """Those of the BatchNorms that have a channel which may be pruned, or need not be read."""
    coupling = couple(cfg)
    macs = channel_macs(cfg, coupling)
    sections = tuple(
        index
        for index, section in enumerate(cfg)
        if _normalizes(section) and coupling.free[coupling.classes(index)].any()
    )
    classes = _joined([coupling.classes(index) for index in sections], np.int64)
    free = coupling.free[classes]
    widths = tuple(len(coupling.outputs[index]) for index in sections)
    return Gammas(
        sections,
        widths,
        free,
        np.repeat(np.arange(len(sections)), widths)[free],
        np.unique(classes[free], return_inverse=True)[1],
        _joined([macs[index] for index in sections], np.float64)[free],
    )


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts])


def _normalizes(section: Section) -> bool:
    """By a BatchNorm of its own: one that is shared is judged where it lives."""
    if isinstance(section, Conv):
        return section.batch_normalize and section.share_index is None
    return isinstance(section, Batchnorm)
