"""The product in between: at each place of a tile a matrix of maps times a matrix of kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""maps [tiles, places, C] -> [tiles, places, K]."""


def batched_product(kernels: Tensor, bias: Tensor | None, bias_place: int) -> Product:
    """kernels: [places, K, C]. bias: [K], added to the products at one place."""
    columns = kernels.transpose(1, 2).contiguous()

    def multiply(maps: Tensor) -> Tensor:
        tiles, places, _ = maps.shape
        out = maps.new_empty(tiles, places, columns.shape[2])
        torch.bmm(maps.transpose(0, 1), columns, out=out.transpose(0, 1))
        if bias is not None:
            out[:, bias_place] += bias
        return out

    return multiply


def packed_product(kernels: Tensor, bias: Tensor | None, bias_place: int, tiles: int) -> Product:
    """The same, for float32 on a CPU with oneDNN: as a 1 x 1 convolution with a group a place.

    The kernels are laid out once as oneDNN wants them for so many tiles and threads; with another
    number it would lay them out again at every call. These are the operators that torch.compile
    packs weights with. Twice as fast as a batched product where there are few tiles.
    """
    places, n_filters, channels = kernels.shape
    shape = [1, places * channels, tiles, 1]
    weight = kernels.reshape(places * n_filters, channels, 1, 1)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        weight, [0, 0], [1, 1], [1, 1], places, shape
    )
    biases = None
    if bias is not None:
        biases = bias.new_zeros(places, n_filters)
        biases[bias_place] = bias
        biases = biases.flatten()

    def multiply(maps: Tensor) -> Tensor:
        image = maps.view(1, tiles, 1, places * channels).permute(0, 3, 1, 2)
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            image, packed, biases, [0, 0], [1, 1], [1, 1], places, "none", [], ""
        )
        return out.permute(0, 2, 3, 1).view(tiles, places, n_filters)

    return multiply


def can_pack(maps: Tensor) -> bool:
    """Whether packed_product is there for maps like these."""
    return maps.dtype == torch.float32 and maps.device.type == "cpu" and _packs()


@cache
def _packs() -> bool:
    """Whether this torch has the operators, and they do what is meant: they are not documented."""
    maps, kernels = torch.arange(24.0).view(3, 4, 2), torch.arange(16.0).view(4, 2, 2)
    try:
        found = packed_product(kernels, None, 0, 3)(maps)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, batched_product(kernels, None, 0)(maps))  # whole numbers: no rounding
