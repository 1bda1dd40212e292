"""What a channel is worth by itself: one function a criterion, before anything is coupled.

Each returns, for the sections that have something to say, section -> float64 [channels], where more
is worth more. Sections that are tied speak for the same class; `scores.py` joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, Conv, Coupling
from yolo_slim.cfg.coupling import is_depthwise
from yolo_slim.errors import InputError

Values = NDArray[np.float64]
Members = dict[int, Values]


@dataclass(frozen=True)
class Witness:
    """All that a criterion may ask. seed: for `random`; evidence: for `taylor`."""

    bundle: Bundle
    coupling: Coupling
    seed: int = 0
    evidence: Mapping[int, Values] | None = None


def gamma(witness: Witness) -> Members:
    """|gamma| of its BatchNorm (Liu et al., Network Slimming, 2017)."""
    weights = witness.bundle.weights
    return {
        index: _array(weights[f"{index}.bn.weight"].abs())
        for index in range(len(witness.bundle.cfg))
        if f"{index}.bn.weight" in weights
    }


def gamma_kernel(witness: Witness) -> Members:
    """|gamma| times the L2 norm of the columns that read the channel.

    A channel is loud to its readers if both are large: gamma of one layer can be traded for the
    kernels of the next. Readers are those of the whole class, whatever routes, pools, upsamplings
    and shortcuts lie between; a depthwise kernel passes its channel on and is none of them.
    """
    heard = _column_norms(witness)
    return {
        index: values * heard[witness.coupling.classes(index)]
        for index, values in gamma(witness).items()
    }


def l1(witness: Witness) -> Members:
    """Sum of the absolute numbers of its own kernel (Li et al., 2017)."""
    return {index: _array(kernel.abs().sum(dim=1)) for index, kernel in _kernels(witness)}


def l2(witness: Witness) -> Members:
    """Euclidean norm of its own kernel."""
    return {index: _array(kernel.norm(dim=1)) for index, kernel in _kernels(witness)}


def fpgm(witness: Witness) -> Members:
    """Sum of the distances from its kernel to the other kernels of the layer (He et al., 2019).

    The kernel that lies nearest to the geometric median is the one that the others can stand for.
    """
    return {index: _array(torch.cdist(k, k).sum(dim=1)) for index, k in _kernels(witness)}


def taylor(witness: Witness) -> Members:
    """How much the loss would change without it, as `taylor_evidence` has measured it."""
    if witness.evidence is None:
        raise InputError(
            "importance 'taylor' is measured on data: pass evidence=taylor_evidence(...)"
        )
    members = {index: np.asarray(v, np.float64) for index, v in witness.evidence.items()}
    for index, values in members.items():
        known = 0 <= index < len(witness.bundle.cfg)
        expected = (len(witness.coupling.classes(index)),) if known else ()
        if values.shape != expected or not known:
            raise InputError(
                f"taylor evidence for section {index} has shape {values.shape}; "
                f"{witness.bundle.cfg.source} needs {expected if known else 'no such section'}: "
                "measure it on this very network"
            )
        if not (np.isfinite(values) & (values >= 0)).all():
            raise InputError(
                f"taylor evidence for section {index} holds numbers that are negative or not "
                "finite: the loss it was measured with has none of them"
            )
    return members


def random(witness: Witness) -> Members:
    """A number from 0 to 1, the same for all members of a class: what any criterion has to beat."""
    drawn = np.random.default_rng(witness.seed).random(witness.coupling.n_classes)
    sections = {index for index, _ in _kernels(witness)} | gamma(witness).keys()
    return {index: drawn[witness.coupling.classes(index)] for index in sorted(sections)}


IMPORTANCES: dict[str, Callable[[Witness], Members]] = {
    "gamma": gamma,
    "gamma-kernel": gamma_kernel,
    "l1": l1,
    "l2": l2,
    "fpgm": fpgm,
    "taylor": taylor,
    "random": random,
}


def _kernels(witness: Witness) -> Iterator[tuple[int, Tensor]]:
    """Of every section with a kernel of its own one row a channel, [C_out, numbers], float64."""
    for index, section in enumerate(witness.bundle.cfg):
        name = "conv" if isinstance(section, Conv) else "connected"
        kernel = witness.bundle.weights.get(f"{index}.{name}.weight")
        if kernel is not None:
            yield index, kernel.double().flatten(1)


def _column_norms(witness: Witness) -> Values:
    """L2 norm of all kernel columns that read a class, float64 [n_classes]."""
    cfg, coupling, weights = witness.bundle.cfg, witness.coupling, witness.bundle.weights
    squares = np.zeros(coupling.n_classes)
    for index, section in enumerate(cfg):
        read = coupling.classes(cfg.links(index)[0])
        match section:
            case Conv() if not is_depthwise(section, len(read)):
                owner = index if section.share_index is None else section.share_index
                kernel = weights[f"{owner}.conv.weight"].double().square()
                # [groups, C_out / groups, C_in / groups, k, k]: each group reads its own channels
                grouped = kernel.view(section.groups, -1, *kernel.shape[1:])
                columns = grouped.sum(dim=(1, 3, 4)).flatten()
            case Connected():
                kernel = weights[f"{index}.connected.weight"].double().square()
                columns = kernel.view(len(kernel), len(read), -1).sum(dim=(0, 2))
            case _:
                continue
        np.add.at(squares, read, columns.numpy())
    return np.sqrt(squares)


def _array(values: Tensor) -> Values:
    array: Values = values.detach().double().numpy()
    return array
