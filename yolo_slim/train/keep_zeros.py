"""Numbers of kernels that are 0 when a training begins, and are to be 0 when it ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

KERNELS = (".conv.weight", ".connected.weight")


class KeptZeros:
    """The places of a network's kernels that hold a 0 now.

    No part of the module that is trained: not in its checkpoint, nor moved with it. A resumed
    training finds the places in the bundle that it began with.
    """

    def __init__(self, network: nn.Module) -> None:
        self.places: dict[str, Tensor] = {
            name: kernel.detach() == 0
            for name, kernel in network.named_parameters()
            if name.endswith(KERNELS) and bool((kernel == 0).any())
        }

    def __len__(self) -> int:
        return sum(int(places.sum()) for places in self.places.values())

    def __deepcopy__(self, memo: dict[int, Any]) -> KeptZeros:
        return self  # an average of the network has its zeros in the same places

    def restore(self, network: nn.Module) -> None:
        """Sets these places to 0 again, in place: an optimizer's momentum, and gradients, which no
        zero lacks, have moved them."""
        with torch.no_grad():
            for name, places in self.places.items():
                kernel = network.get_parameter(name)
                if places.device != kernel.device:
                    places = self.places[name] = places.to(kernel.device)
                kernel.masked_fill_(places, 0.0)
