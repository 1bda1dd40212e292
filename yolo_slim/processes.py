"""What a training in several processes has to agree on."""

from __future__ import annotations

import os

import torch
from torch import Tensor, distributed


def n_processes() -> int:
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if _together() else 0


def mean_over_processes(number: float, device: torch.device, least_in_all: float = 0.0) -> float:
    """The mean of what each process passes, 0 or more; the number itself where there is one
    process. least_in_all: what the sum is taken for where it is smaller."""
    if n_processes() == 1:
        return max(float(number), least_in_all)
    total: Tensor = torch.tensor(float(number), dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return max(float(total), least_in_all) / n_processes()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_first_process() -> bool:
    """Whether this process speaks and writes for all: as the launcher says, before they meet."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
