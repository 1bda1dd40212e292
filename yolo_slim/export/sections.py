"""Sections as ONNX nodes in float: all but the convolution and the pool, which INT8 looks into."""

from __future__ import annotations

import numpy as np

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import (
    Activation,
    Avgpool,
    Batchnorm,
    Connected,
    Cost,
    Crop,
    Dropout,
    Head,
    Local,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Reorg3d,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Select,
    Shape,
    Shortcut,
    Shuffle,
    Softmax,
    Upsample,
    infer_shapes,
)
from yolo_slim.errors import InputError
from yolo_slim.export.activations import add_activation
from yolo_slim.export.graph import Graph
from yolo_slim.fold import affine
from yolo_slim.nn.blocks import ShortcutBlock
from yolo_slim.nn.pools import Windows

MAX_PICKS = 1 << 26
"""Numbers of the kernel that takes a [local]'s patches apart: channels x size^4, 256 MB."""


class SectionWriter:
    """Adds the nodes of one section to a graph; tensors are named by the section's number."""

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        self.graph, self.bundle, self.cfg = graph, bundle, bundle.cfg
        self.shapes = infer_shapes(bundle.cfg)
        net = bundle.cfg.net
        self.image = Shape(net.channels, net.height, net.width)

    def shape(self, link: int) -> Shape:
        return self.image if link < 0 else self.shapes[link]

    def add(self, index: int, section: Section, inputs: list[str]) -> str:
        """The tensor that the section writes, from those that it reads."""
        graph, name, x = self.graph, str(index), inputs[0]
        read, written = self.shape(self.cfg.links(index)[0]), self.shapes[index]
        match section:
            case Shortcut():
                return self.activated(
                    index, section.activation, self.shortcut(index, section, inputs)
                )
            case Route():
                return self.route(index, section, inputs)
            case Maxpool(depth_channels=0) | LocalAvgpool():
                return self.pool(index, section, x)
            case Maxpool(depth_channels=kept):
                if read.channels % kept:
                    raise InputError(
                        f"{self.cfg.where(index)}: no ONNX form for out_channels={kept} of "
                        f"{read.channels} channels, no multiple of it"
                    )
                x = graph.reshaped(x, f"{name}.parts", [0, read.channels // kept, *written])
                return graph.node(
                    "ReduceMax", [x, graph.ints("axis_1", [1])], f"{name}.depth", keepdims=0
                )
            case Upsample():
                scales = graph.floats(f"{name}.scales", [1, 1, section.stride, section.stride])
                x = graph.node(
                    "Resize", [x, "", scales], f"{name}.upsample", mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor",
                )  # fmt: skip
                return x if section.scale == 1 else self.times(f"{name}.scale", x, section.scale)
            case Avgpool():
                return graph.node("GlobalAveragePool", [x], f"{name}.avgpool")
            case ScaleChannels() | Sam():
                x = graph.node("Mul", [inputs[1], x], f"{name}.scale")
                return self.activated(index, section.activation, x)
            case Reorg(stride=s):
                coarse = [0, read.channels // s**2, read.height, s, read.width, s]
                return self.phases(name, x, coarse, written)
            case Reorg3d(stride=s):
                cells = [0, read.channels, read.height // s, s, read.width // s, s]
                return self.phases(name, x, cells, written)
            case Batchnorm():
                scale, shift = affine(self.bundle.weights, index, self.cfg.net.bn_eps)
                x = self.times(f"{name}.scale", x, scale.view(1, -1, 1, 1).numpy())
                shift_name = graph.floats(f"{name}.shift.value", shift.view(1, -1, 1, 1).numpy())
                return graph.node("Add", [x, shift_name], f"{name}.shift")
            case Activation():
                return self.activated(index, section.activation, x)
            case Connected():
                return self.activated(index, section.activation, self.connected(index, x, written))
            case Local():
                return self.activated(
                    index, section.activation, self.local(index, section, x, read, written)
                )
            case Crop():
                return self.crop(name, section, x, read)
            case Softmax():
                return self.softmax(name, section, x, written)
            case Select():
                picked = graph.ints(f"{name}.channels", section.channels)
                return graph.node("Gather", [x, picked], f"{name}.select", axis=1)
            case Shuffle(groups=g):
                x = graph.reshaped(x, f"{name}.groups", [0, g, read.channels // g, *read[1:]])
                x = graph.node("Transpose", [x], f"{name}.transposed", perm=[0, 2, 1, 3, 4])
                return graph.reshaped(x, f"{name}.shuffle", [0, *written])
            case Dropout() | Cost() | Head():
                return x
        raise TypeError(f"no ONNX form for [{section.kind}]")

    def activated(self, index: int, kind: str, x: str) -> str:
        return add_activation(self.graph, kind, x, f"{index}.{kind}")

    def times(self, name: str, x: str, factor: object) -> str:
        return self.graph.node("Mul", [x, self.graph.floats(f"{name}.factor", factor)], name)

    def shortcut(self, index: int, section: Shortcut, inputs: list[str]) -> str:
        links, factors = self.cfg.links(index), self.factors(index, section)
        widths = [self.shape(link).channels for link in links]
        x = inputs[0]
        if factors is not None:
            x = self.times(f"{index}.x", x, factors[0])
        for number, (link, other) in enumerate(zip(links[1:], inputs[1:], strict=True), start=1):
            name = f"{index}.add{number - 1}"
            stride = max(1, self.shape(link).height // self.shapes[index].height)
            if stride > 1:
                other = self.every(f"{name}.every", other, stride)
            shared = min(widths[0], widths[number])
            if widths[number] > shared:
                other = self.channels(f"{name}.other", other, 0, shared)
            if factors is not None:
                factor = factors[number]
                other = self.times(
                    f"{name}.scaled", other, factor[:, :shared] if factor.ndim else factor
                )
            if widths[0] == shared:
                x = self.graph.node("Add", [x, other], name)
                continue
            first = self.channels(f"{name}.first", x, 0, shared)
            added = self.graph.node("Add", [first, other], name)
            rest = self.channels(f"{name}.rest", x, shared, widths[0])
            x = self.graph.node("Concat", [added, rest], f"{name}.concat", axis=1)
        return x

    def factors(self, index: int, section: Shortcut) -> list[np.ndarray] | None:
        if section.weights_type == "none":
            return None
        block = ShortcutBlock(section, self.shapes[index].channels)
        block.load_state_dict({"weight": self.bundle.weights[f"{index}.weight"]})
        factors = block.factors()
        assert factors is not None
        return list(factors.detach().numpy())

    def route(self, index: int, section: Route, inputs: list[str]) -> str:
        parts = []
        for number, (link, x) in enumerate(zip(section.sources, inputs, strict=True)):
            width = self.shape(link).channels // section.groups
            start = section.group_id * width
            name = f"{index}.part{number}"
            whole = section.groups == 1
            parts.append(x if whole else self.channels(name, x, start, start + width))
        if len(parts) == 1:
            return parts[0]
        return self.graph.node("Concat", parts, f"{index}.concat", axis=1)

    def pool(self, index: int, section: Maxpool | LocalAvgpool, x: str) -> str:
        read = self.shape(self.cfg.links(index)[0])
        windows = Windows(section)
        bottom, right = (max(over, 0) for over in windows.after(read[1:]))
        shared = {
            "kernel_shape": [section.size] * 2,
            "strides": list(section.strides_hw),
            "pads": [windows.before, windows.before, bottom, right],
        }
        if isinstance(section, Maxpool):
            return self.graph.node("MaxPool", [x], f"{index}.maxpool", **shared)
        return self.graph.node(
            "AveragePool", [x], f"{index}.local_avgpool", count_include_pad=0, **shared
        )

    def phases(self, name: str, x: str, cells: list[int], written: Shape) -> str:
        """[B, C, H, s, W, s] -> [B, s, s, C, H, W] -> the written shape."""
        x = self.graph.reshaped(x, f"{name}.cells", cells)
        x = self.graph.node("Transpose", [x], f"{name}.phases", perm=[0, 3, 5, 1, 2, 4])
        return self.graph.reshaped(x, f"{name}.reorg", [0, *written])

    def connected(self, index: int, x: str, written: Shape) -> str:
        graph, name = self.graph, f"{index}.connected"
        kernel, bias = (
            graph.floats(f"{name}.{part}", self.bundle.weights[f"{name}.{part}"].double().numpy())
            for part in ("weight", "bias")
        )
        x = graph.node("Flatten", [x], f"{name}.flat", axis=1)
        x = graph.node("Gemm", [x, kernel, bias], name, transB=1)
        return graph.reshaped(x, f"{name}.map", [0, *written])

    def local(self, index: int, section: Local, x: str, read: Shape, written: Shape) -> str:
        """Patches by a convolution that only picks, then one matrix product a place."""
        graph, name, size = self.graph, f"{index}.local", section.size
        taps = read.channels * size**2
        if taps * size**2 > MAX_PICKS:
            raise InputError(
                f"{self.cfg.where(index)} size={size} of {read.channels} channels: its ONNX form "
                f"takes {taps * size**2:,} numbers to pick patches, expected at most "
                f"{MAX_PICKS:,}: a smaller size, or fewer channels before it"
            )
        picks = np.tile(np.eye(size**2).reshape(size**2, 1, size, size), (read.channels, 1, 1, 1))
        x = graph.node(
            "Conv", [x, graph.floats(f"{name}.picks", picks)], f"{name}.patches",
            group=read.channels, kernel_shape=[size] * 2, strides=[section.stride] * 2,
            pads=[section.padding_px] * 4,
        )  # fmt: skip
        places = written.height * written.width
        x = graph.reshaped(x, f"{name}.places", [0, taps, places])
        x = graph.node("Transpose", [x], f"{name}.rows", perm=[2, 0, 1])  # [places, B, taps]
        weights = self.bundle.weights
        kernels = weights[f"{index}.weight"].flatten(2).transpose(1, 2).double().numpy()
        x = graph.node("MatMul", [x, graph.floats(f"{name}.kernels", kernels)], f"{name}.products")
        x = graph.node("Transpose", [x], f"{name}.columns", perm=[1, 2, 0])  # [B, filters, places]
        x = graph.reshaped(x, f"{name}.map", [0, *written])
        bias = graph.floats(f"{name}.bias", weights[f"{index}.bias"].double().numpy()[None])
        return graph.node("Add", [x, bias], name)

    def crop(self, name: str, section: Crop, x: str, read: Shape) -> str:
        cut = (section.crop_height, section.crop_width)
        starts = [(side - kept) // 2 for side, kept in zip(read[1:], cut, strict=True)]
        stops = [start + kept for start, kept in zip(starts, cut, strict=True)]
        x = self.graph.sliced(x, f"{name}.crop", starts, stops, [2, 3])
        if section.noadjust:
            return x
        x = self.times(f"{name}.twice", x, 2.0)
        return self.graph.node("Sub", [x, self.graph.floats(f"{name}.one", 1.0)], f"{name}.range")

    def softmax(self, name: str, section: Softmax, x: str, written: Shape) -> str:
        x = self.times(f"{name}.logits", x, 1 / section.temperature)
        if section.spatial:
            return self.graph.node("Softmax", [x], f"{name}.softmax", axis=1)
        x = self.graph.reshaped(x, f"{name}.groups", [0, section.groups, -1])
        x = self.graph.node("Softmax", [x], f"{name}.softmax", axis=2)
        return self.graph.reshaped(x, f"{name}.map", [0, *written])

    def channels(self, name: str, x: str, start: int, stop: int) -> str:
        return self.graph.sliced(x, name, [start], [stop], [1])

    def every(self, name: str, x: str, stride: int) -> str:
        return self.graph.sliced(x, name, [0, 0], [1 << 30] * 2, [2, 3], [stride] * 2)
