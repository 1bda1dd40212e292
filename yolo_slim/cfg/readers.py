"""From the text of a section to its type: one reader a section, with Darknet's defaults."""

from __future__ import annotations

from collections.abc import Callable

from yolo_slim.cfg.head_readers import HEAD_READERS
from yolo_slim.cfg.lexing import Block
from yolo_slim.cfg.limits import MAX_FILTERS, MAX_IMAGE_CHANNELS, MAX_OUTPUTS, MAX_SIDE_PX
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
    Upsample,
    WeightsNormalization,
    WeightsType,
)
from yolo_slim.errors import CfgError

RECURRENT = ("rnn", "crnn", "gru", "lstm", "conv_lstm", "history")

_UNSUPPORTED_IN_CONV = (
    "binary", "antialiasing", "assisted_excitation", "deform", "sway", "rotate", "stretch",
    "stretch_sway", "flipped", "dot", "cbn", "coordconv", "reverse",
)  # fmt: skip

_WEIGHTS_TYPES: dict[str, WeightsType] = {
    "none": "none", "per_feature": "per_feature", "per_layer": "per_feature",
    "per_channel": "per_channel",
}  # fmt: skip
_WEIGHTS_NORMALIZATIONS: dict[str, WeightsNormalization] = {
    "none": "none", "relu": "relu", "avg_relu": "relu", "softmax": "softmax",
}  # fmt: skip


def read_net(b: Block) -> Net:
    return Net(
        width=b.get_int("width", 416, at_least=1, at_most=MAX_SIDE_PX),
        height=b.get_int("height", 416, at_least=1, at_most=MAX_SIDE_PX),
        channels=b.get_int("channels", 3, at_least=1, at_most=MAX_IMAGE_CHANNELS),
        letter_box=b.get_flag("letter_box"),
        bn_eps=b.get_float("bn_eps", 1e-5),
        mean=b.get_floats("mean"),
        std=b.get_floats("std"),
        line=b.line,
        extras=b.extras(),
    )


def read_section(b: Block, index: int) -> Section:
    """The section of a block at place `index`. Raises CfgError where it is not supported."""
    reader = _READERS.get(b.kind)
    if reader is not None:
        return reader(b, index)
    if b.kind in RECURRENT:
        raise CfgError(
            f"{b.where}: recurrent sections are not supported: they carry a state from one image "
            "to the next"
        )
    if b.kind == "contrastive":
        raise CfgError(
            f"{b.where}: this head is not supported: it trains embeddings for tracking and finds "
            "no boxes"
        )
    known = ", ".join(_READERS)
    raise CfgError(f"{b.where}: this section is not supported. Known: {known}")


def _read_conv(b: Block, index: int) -> Conv:
    b.refuse(*_UNSUPPORTED_IN_CONV)
    size = b.get_int("size", 1, at_least=1, at_most=255)
    padding_px = b.get_int("padding", 0, at_most=255)
    dilation = b.get_int("dilation", 1, at_least=1, at_most=255)
    return Conv(
        filters=b.get_int("filters", 1, at_least=1, at_most=MAX_FILTERS),
        size=size,
        **_strides(b),
        padding_px=size // 2 if b.get_flag("pad") else padding_px,
        dilation=1 if size == 1 else dilation,  # as Darknet does
        groups=b.get_int("groups", 1, at_least=1, at_most=MAX_FILTERS),
        batch_normalize=b.get_flag("batch_normalize"),
        activation=b.get_text("activation", "logistic"),
        share_index=b.link("share_index", index) if b.raw("share_index") else None,
        xnor=b.get_flag("xnor"),
        line=b.line,
        extras=b.extras(),
    )


def _read_shortcut(b: Block, index: int) -> Shortcut:
    b.refuse("alpha", "beta", neutral=1)
    return Shortcut(
        sources=b.links("from", index),
        activation=b.get_text("activation", "linear"),
        weights_type=b.get_choice("weights_type", _WEIGHTS_TYPES, "none"),
        weights_normalization=b.get_choice(
            "weights_normalization", _WEIGHTS_NORMALIZATIONS, "none"
        ),
        line=b.line,
        extras=b.extras(),
    )


def _read_route(b: Block, index: int) -> Route:
    groups = b.get_int("groups", 1, at_least=1, at_most=MAX_FILTERS)
    return Route(
        sources=b.links("layers", index),
        groups=groups,
        group_id=b.get_int("group_id", 0, at_most=groups - 1),
        line=b.line,
        extras=b.extras(),
    )


def _read_maxpool(b: Block, index: int) -> Maxpool:
    b.refuse("antialiasing")
    channels = b.get_int("out_channels", 1, at_least=1, at_most=MAX_FILTERS)
    depth = channels if b.get_flag("maxpool_depth") else 0
    return Maxpool(**_pool(b), depth_channels=depth, line=b.line, extras=b.extras())


def _read_local_avgpool(b: Block, index: int) -> LocalAvgpool:
    return LocalAvgpool(**_pool(b), line=b.line, extras=b.extras())


def _pool(b: Block) -> dict[str, int]:
    strides = _strides(b)
    size = b.get_int("size", strides["stride"], at_least=1, at_most=255)
    padding_px = b.get_int("padding", size - 1, at_most=255)
    if (padding_px + 1) // 2 >= size:  # the far side has the odd pixel
        raise CfgError(f"{b.where} padding={padding_px}: windows of {size} px would lie outside")
    return {"size": size, **strides, "padding_px": padding_px}


def _strides(b: Block) -> dict[str, int]:
    stride = b.get_int("stride", 1, at_least=1, at_most=255)
    x, y = (b.get_int(key, stride, at_least=1, at_most=255) for key in ("stride_x", "stride_y"))
    if x == y:
        return {"stride": x}
    return {
        "stride": stride,
        "stride_x": 0 if x == stride else x,
        "stride_y": 0 if y == stride else y,
    }


def _read_upsample(b: Block, index: int) -> Upsample:
    return Upsample(
        stride=b.get_int("stride", 2, at_least=1, at_most=64),
        scale=b.get_float("scale", 1.0),
        line=b.line,
        extras=b.extras(),
    )


def _read_reorg(b: Block, index: int) -> Reorg:
    b.refuse("reverse", "flatten", "extra")
    return Reorg(
        stride=b.get_int("stride", 1, at_least=1, at_most=64), line=b.line, extras=b.extras()
    )


def _read_reorg3d(b: Block, index: int) -> Reorg3d:
    b.refuse("reverse")
    return Reorg3d(
        stride=b.get_int("stride", 1, at_least=1, at_most=64), line=b.line, extras=b.extras()
    )


def _read_scale_channels(b: Block, index: int) -> ScaleChannels:
    return ScaleChannels(
        source=b.link("from", index),
        activation=b.get_text("activation", "linear"),
        scale_wh=b.get_flag("scale_wh"),
        line=b.line,
        extras=b.extras(),
    )


def _read_sam(b: Block, index: int) -> Sam:
    return Sam(
        source=b.link("from", index),
        activation=b.get_text("activation", "linear"),
        line=b.line,
        extras=b.extras(),
    )


def _read_dropout(b: Block, index: int) -> Dropout:
    b.refuse("dropblock", "dropblock_size_rel", "dropblock_size_abs")
    probability = b.get_float("probability", 0.5)
    if not 0 <= probability < 1:
        raise CfgError(f"{b.where} probability={probability}: expected 0 up to, not with, 1")
    return Dropout(probability=probability, line=b.line, extras=b.extras())


def _read_activation(b: Block, index: int) -> Activation:
    activation = b.get_text("activation", "linear")
    return Activation(activation=activation, line=b.line, extras=b.extras())


def _read_connected(b: Block, index: int) -> Connected:
    return Connected(
        output=b.get_int("output", 1, at_least=1, at_most=MAX_OUTPUTS),
        batch_normalize=b.get_flag("batch_normalize"),
        activation=b.get_text("activation", "logistic"),
        line=b.line,
        extras=b.extras(),
    )


def _read_local(b: Block, index: int) -> Local:
    size = b.get_int("size", 1, at_least=1, at_most=255)
    padding_px = int(b.get_flag("pad"))
    if padding_px and size != 3:
        # Darknet pads by 1 px and computes the output's size as if by size / 2.
        raise CfgError(f"{b.where} pad=1 needs size=3, found size={size}")
    return Local(
        filters=b.get_int("filters", 1, at_least=1, at_most=MAX_FILTERS),
        size=size,
        stride=b.get_int("stride", 1, at_least=1, at_most=255),
        padding_px=padding_px,
        activation=b.get_text("activation", "logistic"),
        line=b.line,
        extras=b.extras(),
    )


def _read_crop(b: Block, index: int) -> Crop:
    return Crop(
        crop_height=b.get_int("crop_height", 1, at_least=1, at_most=MAX_SIDE_PX),
        crop_width=b.get_int("crop_width", 1, at_least=1, at_most=MAX_SIDE_PX),
        noadjust=b.get_flag("noadjust"),
        line=b.line,
        extras=b.extras(),
    )


def _read_softmax(b: Block, index: int) -> Softmax:
    b.refuse("tree")
    return Softmax(
        groups=b.get_int("groups", 1, at_least=1, at_most=1 << 20),
        temperature=b.get_float("temperature", 1.0),
        spatial=b.get_flag("spatial"),
        line=b.line,
        extras=b.extras(),
    )


def _read_select(b: Block, index: int) -> Select:
    channels = b.get_ints("channels", at_most=MAX_FILTERS)
    if not channels or min(channels) < 0 or len(set(channels)) != len(channels):
        raise CfgError(f"{b.where} channels=: expected different channel numbers from 0 on")
    return Select(channels=channels, line=b.line, extras=b.extras())


def _read_shuffle(b: Block, index: int) -> Shuffle:
    groups = b.get_int("groups", 2, at_least=1, at_most=MAX_FILTERS)
    return Shuffle(groups=groups, line=b.line, extras=b.extras())


_READERS: dict[str, Callable[[Block, int], Section]] = {
    "convolutional": _read_conv,
    "shortcut": _read_shortcut,
    "route": _read_route,
    "maxpool": _read_maxpool,
    "local_avgpool": _read_local_avgpool,
    "upsample": _read_upsample,
    "reorg": _read_reorg,
    "reorg3d": _read_reorg3d,
    "avgpool": lambda b, index: Avgpool(line=b.line, extras=b.extras()),
    "scale_channels": _read_scale_channels,
    "sam": _read_sam,
    "dropout": _read_dropout,
    "batchnorm": lambda b, index: Batchnorm(line=b.line, extras=b.extras()),
    "activation": _read_activation,
    "connected": _read_connected,
    "local": _read_local,
    "crop": _read_crop,
    "softmax": _read_softmax,
    "cost": lambda b, index: Cost(line=b.line, extras=b.extras()),
    "select": _read_select,
    "shuffle": _read_shuffle,
    **HEAD_READERS,
}
