"""What OpenCV 4's importer makes of a cfg: some things it refuses, some it passes over unread.

Found by running each key through 4.14 (see the tests); modules/dnn/src/darknet/darknet_io.cpp in
OpenCV's source has the reader.
"""

from __future__ import annotations

from collections.abc import Iterator

from yolo_slim.cfg import (
    Avgpool,
    Cfg,
    Connected,
    Conv,
    Cost,
    Crop,
    Dropout,
    Maxpool,
    Region,
    Reorg,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Shape,
    Shortcut,
    Softmax,
    Strided,
    Upsample,
    Yolo,
    infer_shapes,
    input_shape,
)

_SECTIONS = {
    Avgpool, Connected, Conv, Cost, Crop, Dropout, Maxpool, Region, Reorg, Route, Sam,
    ScaleChannels, Shortcut, Softmax, Upsample, Yolo,
}  # fmt: skip
_ACTIVATIONS = {"linear", "leaky", "relu", "logistic", "tanh", "mish", "swish"}


def misread(cfg: Cfg) -> list[str]:
    """What OpenCV does not read, or reads as something else, place by place; empty if all is well.

    >>> from yolo_slim.cfg import parse
    >>> misread(parse("[net]\\n[convolutional]\\nsize=3\\npad=1\\ndilation=2", "a.cfg"))
    ['a.cfg:2 [convolutional] dilation']
    """
    shapes = infer_shapes(cfg)
    return [
        f"{cfg.where(index)} {key}".strip()
        for index, section in enumerate(cfg)
        for key in _unread(section, cfg, shapes, index)
    ]


def _unread(section: Section, cfg: Cfg, shapes: tuple[Shape, ...], index: int) -> Iterator[str]:
    if type(section) not in _SECTIONS:
        yield ""
        return
    activation = getattr(section, "activation", "linear")
    if activation not in _ACTIVATIONS:
        yield f"activation={activation}"
    if isinstance(section, Strided) and section.strides_hw != (section.stride, section.stride):
        yield "stride_x, stride_y"
    read = input_shape(cfg, shapes, index)
    match section:
        case Conv(dilation=dilation) if dilation != 1:
            yield "dilation"
        case Conv(share_index=int()):
            yield "share_index"
        case Conv(xnor=True):
            yield "xnor"
        case Region(tree=tree) if tree:
            yield "tree"
        case Connected(batch_normalize=True):
            yield "batch_normalize"
        case Maxpool(depth_channels=depth) if depth:
            yield "maxpool_depth"
        case Upsample(scale=scale) if scale != 1:
            yield "scale"
        case ScaleChannels(scale_wh=True):
            yield "scale_wh"
        case Crop(noadjust=False):
            yield "without noadjust"
        case Route(groups=groups, sources=sources) if groups > 1 and len(sources) > 1:
            yield "groups of several layers"
        case Shortcut(weights_type=weights_type) if weights_type != "none":
            yield "weights_type"
        case Shortcut(sources=sources) if len(sources) > 1:
            yield "from several layers"
        case Shortcut(sources=sources) if shapes[sources[0]][1:] != read[1:]:
            yield "from a larger map"
        case Softmax(groups=groups, temperature=temperature) if (groups, temperature) != (1, 1):
            yield "groups, temperature"
        case Softmax(spatial=False) if read[1:] != (1, 1):
            yield "over a whole map"
