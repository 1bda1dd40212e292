"""The network of a cfg: built fresh when something must run, and thrown away."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from yolo_slim.cfg import (
    IMAGE,
    Cfg,
    Conv,
    Section,
    Shape,
    Shortcut,
    infer_shapes,
    input_shape,
    readers_of,
    same_values,
)
from yolo_slim.nn.blocks import Activated, ConvBlock, SharedConvBlock, build_block
from yolo_slim.nn.fake_quant import Grids
from yolo_slim.precision import Precision


class Network(nn.Module):
    """Runs the sections of a cfg in order. Its state dict has the keys of a bundle's weights.

    forward(images): images [B, channels, H, W], RGB, 0..1 -> the raw map that each head reads,
    [B, len(mask) * (5 + classes), H / stride, W / stride] for a [yolo]; the last section's output
    where there is no head.

    With a `precision`, activations and kernels of the INT8 convolutions are rounded on the way
    (fake quantization: symmetric, zero point 0, one step per tensor, one per kernel channel); with
    learn_ranges the steps of the maps are parameters, see fake_quant.Grids.

    >>> from yolo_slim.zoo import build
    >>> network = Network(build("yolov3-tiny", size_px=32))
    >>> [tuple(raw.shape) for raw in network(torch.rand(1, 3, 32, 32))]
    [(1, 255, 1, 1), (1, 255, 2, 2)]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, cfg: Cfg, precision: Precision | None = None, learn_ranges: bool = False
    ) -> None:
        super().__init__()
        self.cfg = cfg
        shapes = infer_shapes(cfg)
        for index, section in enumerate(cfg):
            self.add_module(str(index), self._block(index, section, shapes))
        for name, values, neutral in (("mean", cfg.net.mean, 0.0), ("std", cfg.net.std, 1.0)):
            tensor = torch.tensor(values or (neutral,) * cfg.net.channels).view(1, -1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)
        self._outputs = cfg.output_indices
        self._last_use = {link: max(by) for link, by in readers_of(cfg).items() if link != IMAGE}
        self.precision: Precision | None = None
        self.grids: Grids | None = None
        if precision is not None:
            self.imitate(precision, learn_ranges)

    def imitate(self, precision: Precision, learn_ranges: bool = False) -> None:
        """From now on it rounds as `precision` says, and no more than that."""
        self.precision = precision
        for index, section in enumerate(self.cfg):
            block = self.get_submodule(str(index))
            if isinstance(section, Conv) and isinstance(block, ConvBlock):
                conv = precision.convs.get(index)
                block.quantize_weights(None if conv is None else conv.weight_scales)
        self._rounding = frozenset(
            index for index in range(len(self.cfg)) if reads_int8(self.cfg, precision, index)
        )
        read = {link for index in self._rounding for link in self.cfg.links(index)}
        scales = {link: precision.of(link).symmetric_scale for link in sorted(read)}
        groups = same_values(self.cfg, precision.outputs)
        self.grids = Grids(scales, groups, learn_ranges)

    def channels_last(self) -> Network:
        """Itself, its kernels in that layout: `to` would not have the five sides of a [local]."""
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        return self

    def _block(self, index: int, section: Section, shapes: tuple[Shape, ...]) -> nn.Module:
        if not isinstance(section, Conv) or section.share_index is None:
            read = input_shape(self.cfg, shapes, index)
            return build_block(section, read, shapes[index], self.cfg.net.bn_eps)
        owner = self.get_submodule(str(section.share_index))
        if isinstance(owner, SharedConvBlock):
            (owner,) = owner._owner
        assert isinstance(owner, ConvBlock)
        return SharedConvBlock(section, owner)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.forward_with_taps(images, ())[0]

    def forward_with_taps(
        self, images: Tensor, taps: Collection[int], before_activation: bool = False
    ) -> tuple[tuple[Tensor, ...], dict[int, Tensor]]:
        """As forward, and the outputs of the sections whose indices are in `taps`, or what they
        are before their activation; the same where a section has none."""
        outputs: dict[int, Tensor] = {IMAGE: self.normalise(images)}
        results: dict[int, Tensor] = {}
        tapped: dict[int, Tensor] = {}
        for index in range(len(self.cfg)):
            links = self.cfg.links(index)
            inputs = [self._read(outputs, link, index) for link in links]
            block = self.get_submodule(str(index))
            if index in taps and before_activation and isinstance(block, Activated):
                tapped[index] = block.before_activation(*inputs)
                outputs[index] = block.activate(tapped[index])
            else:
                outputs[index] = block(*inputs)
                if index in taps:
                    tapped[index] = outputs[index]
            if index in self._outputs:
                results[index] = outputs[index]
            for link in set(links):
                if self._last_use.get(link) == index:
                    del outputs[link]  # a map is freed when its last reader is done
        return tuple(results[index] for index in self._outputs), tapped

    def normalise(self, images: Tensor) -> Tensor:
        """(images - mean) / std per channel, where the cfg states them."""
        if not (self.cfg.net.mean or self.cfg.net.std):
            return images
        return (images - self.mean) / self.std

    def _read(self, outputs: Mapping[int, Tensor], link: int, reader: int) -> Tensor:
        x = outputs[link]
        if self.grids is None or reader not in self._rounding:
            return x
        return self.grids.rounded(x, link)


def reads_int8(cfg: Cfg, precision: Precision, index: int) -> bool:
    """Whether section `index` reads rounded inputs: INT8 convolutions and residual additions."""
    section = cfg[index]
    if isinstance(section, Conv):
        return index in precision.convs
    if not isinstance(section, Shortcut):
        return False
    return all(link < 0 or link in precision.outputs for link in cfg.links(index))
