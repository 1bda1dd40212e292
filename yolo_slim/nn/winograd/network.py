"""A network whose 3 x 3 convolutions run by Winograd's algorithms."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from yolo_slim.cfg import Cfg, infer_shapes, input_shape, suits_winograd
from yolo_slim.errors import InputError
from yolo_slim.nn.blocks import Activated, ConvBlock
from yolo_slim.nn.network import Network
from yolo_slim.nn.winograd.choice import fastest
from yolo_slim.nn.winograd.convolution import Tile, WinogradConvolution
from yolo_slim.precision import Precision

TileChoice = Tile | Literal["auto"]


class WinogradBlock(Activated):
    """A ConvBlock's convolution by tiles; its own while training or where gradients are wanted."""

    def __init__(self, block: ConvBlock | WinogradBlock, tile: Tile) -> None:
        super().__init__()
        self.conv: nn.Conv2d = block.conv
        self.bn: nn.BatchNorm2d | None = block.bn
        self.activate = block.activate
        self.by_tiles = WinogradConvolution(tile)

    def before_activation(self, x: Tensor) -> Tensor:
        x = self.convolve(x)
        return x if self.bn is None else self.bn(x)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, with its bias if it has one."""
        if self.training or torch.is_grad_enabled():
            direct: Tensor = self.conv(x)
            return direct
        padding_px = self.conv.padding[0]
        assert isinstance(padding_px, int)
        return self.by_tiles(x, self.conv.weight, self.conv.bias, padding_px)


def winograd(network: Network, tile: TileChoice = "auto") -> Network:
    """A network that computes the same and shares its tensors, with fewer multiplications.

    Sections that `suits_winograd` names run by tiles of tile x tile outputs in evaluation mode
    without gradients, but for those in INT8; all others as they are. 'auto' takes for each of them
    what a rough count says is fastest of a direct convolution and the tiles of 2 and 4, at the
    cfg's input size; 6, which loses more digits, is taken where it is asked for. Fold BatchNorms
    first: a convolution that is followed by one takes two passes.

    Raises InputError where no section can.
    """
    tiles = tiles_of(network.cfg, network.precision, tile)
    blocks = {}
    for index, chosen in tiles.items():
        block = network.get_submodule(str(index))
        assert isinstance(block, ConvBlock | WinogradBlock)
        blocks[str(index)] = WinogradBlock(block, chosen).train(network.training)
    twin = copy.copy(network)
    twin._modules = {**network._modules, **blocks}
    return twin


def tiles_of(cfg: Cfg, precision: Precision | None, tile: TileChoice) -> dict[int, Tile]:
    """The tile of each section that runs by tiles; see `winograd`."""
    in_int8 = () if precision is None else precision.convs
    able = [i for i, section in enumerate(cfg) if suits_winograd(section) and i not in in_int8]
    if not able:
        raise InputError(
            f"{cfg.source}: no section can run by Winograd's algorithm; expected a 3x3 convolution "
            "of stride 1 without groups, dilation or INT8: leave it out"
        )
    if tile != "auto":
        return dict.fromkeys(able, tile)
    shapes = infer_shapes(cfg)
    best = {i: fastest(input_shape(cfg, shapes, i).channels, shapes[i]) for i in able}
    return {index: chosen for index, chosen in best.items() if chosen is not None}
