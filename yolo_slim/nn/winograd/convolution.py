"""A 3 x 3 convolution of stride 1 by F(m x m, 3 x 3): transform, multiply, transform back."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from yolo_slim.nn.winograd.matrices import TAPS, Matrices, matrices
from yolo_slim.nn.winograd.product import Product, batched_product, can_pack, packed_product
from yolo_slim.nn.winograd.tiles import blocks, windows

Tile = Literal[2, 4, 6]
TILES: tuple[Tile, ...] = get_args(Tile)


class WinogradConvolution:
    """One layer's convolution by tiles of `tile` x `tile` outputs; keeps its transformed kernel.

    Multiplies (tile + 2)^2 times a tile and pair of channels where the definition takes 9 tile^2:
    2.25, 4 and 5.06 times less for 2, 4 and 6, except where a tile hangs over the edge. The
    rounding error grows with the tile. For inference: no gradient flows.
    """

    def __init__(self, tile: Tile) -> None:
        if tile not in TILES:
            raise ValueError(f"tile {tile!r}: expected one of {', '.join(map(str, TILES))}")
        self.tile = tile
        self._kept: tuple[object, Product] | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None, padding_px: int) -> Tensor:
        """x: [B, C, H, W], weight: [K, C, 3, 3], bias: [K] -> [B, K, H', W'], channels_last;
        H' = H + 2 padding_px - 2.

        float32 and float64 are computed as they are, bf16 and float16 in float32: the transforms
        would lose what few bits there are. Raises ValueError for other shapes.
        """
        m, (images, channels, *hw) = self.tile, x.shape
        filters = len(weight)
        height, width = (side + 2 * padding_px - TAPS + 1 for side in hw)
        if weight.shape != (filters, channels, TAPS, TAPS) or min(height, width) < 1:
            raise ValueError(
                f"x {list(x.shape)}, padding {padding_px}, weight {list(weight.shape)}: expected a "
                f"kernel [K, {channels}, 3, 3], and with its padding a map of 3 x 3 or more"
            )
        if not images:
            empty = x.new_empty(0, filters, height, width)
            return empty.contiguous(memory_format=torch.channels_last)
        rows, columns = -(-height // m), -(-width // m)
        parts = blocks(images, rows, columns, channels, filters)
        constants = matrices(m, torch.promote_types(x.dtype, torch.float32), x.device)
        multiply = self._product(constants, weight, bias, parts.tiles)
        inputs = windows(x.to(constants.data.dtype), padding_px, m, rows, columns)
        out = inputs.new_empty(images, rows, m, columns, m, filters)
        for some_images, some_rows in parts:
            part = inputs[some_images, some_rows]  # [deep, high, columns, n, n, C]
            products = multiply(transform_data(part, constants))  # [tiles, n * n, K]
            tiles = torch.bmm(constants.output.expand(parts.tiles, -1, -1), products)
            shape = (parts.deep, parts.high, columns, m, m, filters)
            out[some_images, some_rows] = tiles.view(shape).transpose(2, 3)
        whole = out.view(images, rows * m, columns * m, filters)
        return whole[:, :height, :width].contiguous().permute(0, 3, 1, 2).to(x.dtype)

    def _product(
        self, constants: Matrices, weight: Tensor, bias: Tensor | None, tiles: int
    ) -> Product:
        """With the kernel transformed and laid out: as it was the last time, if nothing changed."""
        threads = torch.get_num_threads()
        known = (_mark(weight), _mark(bias), constants.data.dtype, tiles, threads)
        if self._kept is None or self._kept[0] != known:
            kernels = transform_kernel(weight, constants)
            bias = bias if bias is None else bias.to(kernels)
            if can_pack(kernels):
                made = packed_product(kernels, bias, constants.ones, tiles)
            else:
                made = batched_product(kernels, bias, constants.ones)
            self._kept = known, made
        return self._kept[1]


def winograd_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, padding_px: int = 1, tile: Tile = 4
) -> Tensor:
    """The same for once, with nothing kept: see WinogradConvolution.

    >>> x, weight = torch.rand(1, 8, 20, 20), torch.rand(16, 8, 3, 3)
    >>> direct = torch.nn.functional.conv2d(x, weight, padding=1)
    >>> bool((winograd_conv2d(x, weight) - direct).abs().max() < 1e-3)
    True
    """
    return WinogradConvolution(tile)(x, weight, bias, padding_px)


def transform_kernel(weight: Tensor, constants: Matrices) -> Tensor:
    """G g G^T: [K, C, 3, 3] -> [n * n, K, C], in float64, then rounded once to the type of B^T."""
    filters, channels = weight.shape[:2]
    taps = weight.double().reshape(filters * channels, TAPS * TAPS)
    return (constants.kernel @ taps.t()).to(constants.data).view(-1, filters, channels)


def transform_data(part: Tensor, constants: Matrices) -> Tensor:
    """B^T d B: windows [..., n, n, C] -> [tiles, n * n, C].

    As two small products, over the rows of a window and over its columns; the way back, with fewer
    outputs, is as fast as one product with the Kronecker square.
    """
    n, channels = part.shape[-2:]
    gathered = part.reshape(-1, n, n * channels)
    tiles = len(gathered)
    by_row = torch.bmm(constants.data.expand(tiles, n, n), gathered).view(tiles * n, n, channels)
    by_column = torch.bmm(constants.data.expand(tiles * n, n, n), by_row)
    return by_column.view(tiles, n * n, channels)


def _mark(tensor: Tensor | None) -> object:
    """Differs once a tensor was moved or written into."""
    if tensor is None:
        return None
    if tensor.is_inference():
        return object()  # nobody counts its changes: it differs each time
    return tensor.data_ptr(), tensor._version, tensor.dtype, tensor.device
