"""From a section's type to its text: one writer a section, in one canonical form."""

from __future__ import annotations

from collections.abc import Callable

from yolo_slim.cfg.heads import Anchors, Detection, GaussianYolo, Head, Region, Yolo
from yolo_slim.cfg.sections import (
    Activation,
    Avgpool,
    Batchnorm,
    Connected,
    Conv,
    Cost,
    Crop,
    Dropout,
    Local,
    LocalAvgpool,
    Maxpool,
    Net,
    Reorg,
    Reorg3d,
    Route,
    Sam,
    ScaleChannels,
    Section,
    Select,
    Shortcut,
    Shuffle,
    Softmax,
    Strided,
    Upsample,
)

Pairs = list[tuple[str, str]]


def write_net(net: Net) -> str:
    pairs = [
        ("width", str(net.width)), ("height", str(net.height)), ("channels", str(net.channels)),
    ]  # fmt: skip
    if net.letter_box:
        pairs.append(("letter_box", "1"))
    if net.bn_eps != 1e-5:
        pairs.append(("bn_eps", _num(net.bn_eps)))
    if net.mean:
        pairs.append(("mean", ",".join(map(_num, net.mean))))
    if net.std:
        pairs.append(("std", ",".join(map(_num, net.std))))
    return _block(net, pairs)


def write_section(section: Section, index: int) -> str:
    """The text of a section at place `index`; links are relative to it."""
    return _block(section, _WRITERS[type(section)](section, index))


def _block(section: Section, pairs: Pairs) -> str:
    return "".join([f"[{section.kind}]\n", *(f"{k}={v}\n" for k, v in (*pairs, *section.extras))])


def _conv_pairs(s: Conv, index: int) -> Pairs:
    pairs = [("batch_normalize", "1")] if s.batch_normalize else []
    pairs += [("filters", str(s.filters)), ("size", str(s.size)), *_stride_pairs(s)]
    if s.padding_px == s.size // 2:
        pairs.append(("pad", "1"))
    else:
        pairs.append(("padding", str(s.padding_px)))
    if s.dilation > 1:
        pairs.append(("dilation", str(s.dilation)))
    if s.groups > 1:
        pairs.append(("groups", str(s.groups)))
    if s.share_index is not None:
        pairs.append(("share_index", _relative((s.share_index,), index)))
    if s.xnor:
        pairs.append(("xnor", "1"))
    return [*pairs, ("activation", s.activation)]


def _stride_pairs(s: Strided) -> Pairs:
    pairs = [("stride", str(s.stride))]
    pairs += [(key, str(value)) for key, value in (("stride_x", s.stride_x),
                                                   ("stride_y", s.stride_y)) if value]  # fmt: skip
    return pairs


def _shortcut_pairs(s: Shortcut, index: int) -> Pairs:
    pairs = [("from", _relative(s.sources, index)), ("activation", s.activation)]
    if s.weights_type != "none":
        pairs.append(("weights_type", s.weights_type))
    if s.weights_normalization != "none":
        pairs.append(("weights_normalization", s.weights_normalization))
    return pairs


def _route_pairs(s: Route, index: int) -> Pairs:
    pairs = [("layers", _relative(s.sources, index))]
    if s.groups > 1:
        pairs += [("groups", str(s.groups)), ("group_id", str(s.group_id))]
    return pairs


def _pool_pairs(s: Strided, index: int) -> Pairs:
    pairs = [("size", str(s.size)), *_stride_pairs(s)]
    if s.padding_px != s.size - 1:
        pairs.append(("padding", str(s.padding_px)))
    if isinstance(s, Maxpool) and s.depth_channels:
        pairs += [("maxpool_depth", "1"), ("out_channels", str(s.depth_channels))]
    return pairs


def _upsample_pairs(s: Upsample, index: int) -> Pairs:
    pairs = [("stride", str(s.stride))]
    return pairs if s.scale == 1 else [*pairs, ("scale", _num(s.scale))]


def _gate_pairs(s: ScaleChannels | Sam, index: int) -> Pairs:
    pairs = [("from", _relative((s.source,), index)), ("activation", s.activation)]
    return [*pairs, ("scale_wh", "1")] if isinstance(s, ScaleChannels) and s.scale_wh else pairs


def _connected_pairs(s: Connected, index: int) -> Pairs:
    pairs = [("batch_normalize", "1")] if s.batch_normalize else []
    return [*pairs, ("output", str(s.output)), ("activation", s.activation)]


def _local_pairs(s: Local, index: int) -> Pairs:
    return [
        ("filters", str(s.filters)), ("size", str(s.size)), ("stride", str(s.stride)),
        ("pad", str(s.padding_px)), ("activation", s.activation),
    ]  # fmt: skip


def _crop_pairs(s: Crop, index: int) -> Pairs:
    pairs = [("crop_height", str(s.crop_height)), ("crop_width", str(s.crop_width))]
    return [*pairs, ("noadjust", "1")] if s.noadjust else pairs


def _softmax_pairs(s: Softmax, index: int) -> Pairs:
    pairs = [("groups", str(s.groups))]
    if s.temperature != 1:
        pairs.append(("temperature", _num(s.temperature)))
    return [*pairs, ("spatial", "1")] if s.spatial else pairs


def _yolo_pairs(s: Yolo, index: int) -> Pairs:
    pairs = [
        ("mask", ",".join(map(str, s.mask))),
        *_anchor_pairs(s.anchors_wh),
        ("classes", str(s.classes)),
        ("num", str(len(s.anchors_wh))),
        ("ignore_thresh", _num(s.ignore_thresh)),
    ]
    if s.iou_thresh != 1:
        pairs.append(("iou_thresh", _num(s.iou_thresh)))
    if s.scale_x_y != 1:
        pairs.append(("scale_x_y", _num(s.scale_x_y)))
    if s.new_coords:
        pairs.append(("new_coords", "1"))
    if s.objectness_smooth:
        pairs.append(("objectness_smooth", "1"))
    return [*pairs, *_nms_pairs(s)]


def _region_pairs(s: Region, index: int) -> Pairs:
    pairs = [
        *_anchor_pairs(s.anchors_wh), ("classes", str(s.classes)), ("coords", "4"),
        ("num", str(len(s.anchors_wh))),
    ]  # fmt: skip
    if s.softmax:
        pairs.append(("softmax", "1"))
    if s.tree:
        pairs.append(("tree", s.tree))
    return [*pairs, *_nms_pairs(s)]


def _detection_pairs(s: Detection, index: int) -> Pairs:
    pairs = [
        ("classes", str(s.classes)), ("coords", "4"), ("side", str(s.side)), ("num", str(s.num)),
    ]  # fmt: skip
    pairs += [(key, "1") for key, value in (("softmax", s.softmax), ("sqrt", s.sqrt)) if value]
    return [*pairs, *_nms_pairs(s)]


def _anchor_pairs(anchors_wh: Anchors) -> Pairs:
    return [("anchors", ", ".join(f"{_num(w)},{_num(h)}" for w, h in anchors_wh))]


def _nms_pairs(s: Head) -> Pairs:
    pairs: Pairs = [] if s.nms_kind == "default" else [("nms_kind", s.nms_kind)]
    return pairs if s.beta_nms == 0.6 else [*pairs, ("beta_nms", _num(s.beta_nms))]


_WRITERS: dict[type[Section], Callable[..., Pairs]] = {
    Conv: _conv_pairs,
    Shortcut: _shortcut_pairs,
    Route: _route_pairs,
    Maxpool: _pool_pairs,
    LocalAvgpool: _pool_pairs,
    Upsample: _upsample_pairs,
    Reorg: lambda s, index: [("stride", str(s.stride))],
    Reorg3d: lambda s, index: [("stride", str(s.stride))],
    Avgpool: lambda s, index: [],
    ScaleChannels: _gate_pairs,
    Sam: _gate_pairs,
    Dropout: lambda s, index: [("probability", _num(s.probability))],
    Batchnorm: lambda s, index: [],
    Activation: lambda s, index: [("activation", s.activation)],
    Connected: _connected_pairs,
    Local: _local_pairs,
    Crop: _crop_pairs,
    Softmax: _softmax_pairs,
    Cost: lambda s, index: [],
    Select: lambda s, index: [("channels", ",".join(map(str, s.channels)))],
    Shuffle: lambda s, index: [("groups", str(s.groups))],
    Yolo: _yolo_pairs,
    GaussianYolo: _yolo_pairs,
    Region: _region_pairs,
    Detection: _detection_pairs,
}


def _relative(links: tuple[int, ...], index: int) -> str:
    return ",".join(str(link - index) for link in links)


def _num(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))
