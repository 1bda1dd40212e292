"""Text to document and back: Darknet's own lexing rules, parsed once, printed in one form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from yolo_slim.cfg.lexing import Block, lex
from yolo_slim.cfg.sections import (
    Avgpool,
    Cfg,
    Conv,
    Dropout,
    Maxpool,
    Net,
    Route,
    ScaleChannels,
    Section,
    Shortcut,
    Upsample,
    Yolo,
)
from yolo_slim.cfg.verify import verify
from yolo_slim.errors import CfgError

MAX_TEXT_BYTES = 4 << 20
MAX_SECTIONS = 5000

Pairs = list[tuple[str, str]]


def parse(text: str, source: str = "<cfg>") -> Cfg:
    """Reads a cfg. `source` names it in messages.

    Raises CfgError for anything that this package would not compute as Darknet does: an unknown
    section, a key with a meaning that is not supported, a number that is none, a link to nowhere,
    shapes that do not fit.
    """
    blocks = lex(text, source)
    if not blocks or blocks[0].kind != "net":
        found = f"[{blocks[0].kind}]" if blocks else "an empty file"
        raise CfgError(f"{source}: a cfg starts with [net], found {found}")
    if len(blocks) > MAX_SECTIONS:
        raise CfgError(f"{source}: {len(blocks)} sections, at most {MAX_SECTIONS} are read")
    net = _read_net(blocks[0])
    sections = []
    for index, block in enumerate(blocks[1:]):
        reader = _READERS.get(block.kind)
        if reader is None:
            known = ", ".join(f"[{kind}]" for kind in _READERS)
            raise CfgError(f"{block.where}: this section is not supported. Known: {known}")
        sections.append(reader(block, index))
    cfg = Cfg(net, tuple(sections), source)
    verify(cfg)
    return cfg


def read_cfg(path: Path) -> Cfg:
    """Reads a cfg file. Raises CfgError where it is missing, too long, or not legal."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_TEXT_BYTES:
            raise CfgError(f"{path}: {size_bytes:,} bytes; a cfg has at most {MAX_TEXT_BYTES:,}")
        raw = path.read_bytes()
    except OSError as error:
        raise CfgError(f"{path}: cannot be read ({error.strerror or error})") from None
    return parse(_decode(raw), source=path.name)


def render(cfg: Cfg) -> str:
    """Prints a cfg in one canonical form, links relative; `parse(render(cfg)) == cfg`."""
    blocks = [_block_text(cfg.net, _net_pairs(cfg.net))]
    for index, section in enumerate(cfg):
        blocks.append(_block_text(section, _WRITERS[type(section)](section, index)))
    return "\n".join(blocks)


def _decode(raw: bytes) -> str:
    # A file saved by a Windows editor may start with a byte-order mark or be UTF-16.
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    return raw.decode("utf-8-sig", errors="replace")


# --- one reader and one writer a section ---------------------------------------------------------


def _read_net(b: Block) -> Net:
    return Net(
        width=b.get_int("width", 416, at_least=1, at_most=16384),
        height=b.get_int("height", 416, at_least=1, at_most=16384),
        channels=b.get_int("channels", 3, at_least=1, at_most=1024),
        letter_box=b.get_flag("letter_box"),
        bn_eps=b.get_float("bn_eps", 1e-5),
        mean=b.get_floats("mean"),
        std=b.get_floats("std"),
        line=b.line,
        extras=b.extras(),
    )


def _net_pairs(s: Net) -> Pairs:
    pairs = [("width", str(s.width)), ("height", str(s.height)), ("channels", str(s.channels))]
    if s.letter_box:
        pairs.append(("letter_box", "1"))
    if s.bn_eps != 1e-5:
        pairs.append(("bn_eps", _num(s.bn_eps)))
    if s.mean:
        pairs.append(("mean", ",".join(map(_num, s.mean))))
    if s.std:
        pairs.append(("std", ",".join(map(_num, s.std))))
    return pairs


def _read_conv(b: Block, index: int) -> Conv:
    b.refuse("share_index", "xnor", "bin_output", "binary", "antialiasing", "assisted_excitation",
             "deform", "sway", "rotate", "stretch", "stretch_sway", "flipped", "dot", "cbn",
             "coordconv", "reverse")  # fmt: skip
    size = b.get_int("size", 1, at_least=1, at_most=255)
    stride = b.get_int("stride", 1, at_least=1, at_most=255)
    for key in ("stride_x", "stride_y"):
        if b.get_int(key, stride, at_least=1) != stride:
            raise CfgError(f"{b.where} {key} differs from stride={stride}: not supported")
    padding_px = b.get_int("padding", 0, at_most=255)
    dilation = b.get_int("dilation", 1, at_least=1, at_most=255)
    return Conv(
        filters=b.get_int("filters", 1, at_least=1, at_most=65536),
        size=size,
        stride=stride,
        padding_px=size // 2 if b.get_flag("pad") else padding_px,
        dilation=1 if size == 1 else dilation,  # as Darknet does
        groups=b.get_int("groups", 1, at_least=1, at_most=65536),
        batch_normalize=b.get_flag("batch_normalize"),
        activation=b.get_text("activation", "logistic"),
        line=b.line,
        extras=b.extras(),
    )


def _conv_pairs(s: Conv, index: int) -> Pairs:
    pairs = [("batch_normalize", "1")] if s.batch_normalize else []
    pairs += [("filters", str(s.filters)), ("size", str(s.size)), ("stride", str(s.stride))]
    if s.padding_px == s.size // 2:
        pairs.append(("pad", "1"))
    else:
        pairs.append(("padding", str(s.padding_px)))
    if s.dilation > 1:
        pairs.append(("dilation", str(s.dilation)))
    if s.groups > 1:
        pairs.append(("groups", str(s.groups)))
    return [*pairs, ("activation", s.activation)]


def _read_shortcut(b: Block, index: int) -> Shortcut:
    b.refuse("weights_type", "weights_normalization")
    return Shortcut(
        sources=b.links("from", index),
        activation=b.get_text("activation", "linear"),
        line=b.line,
        extras=b.extras(),
    )


def _shortcut_pairs(s: Shortcut, index: int) -> Pairs:
    return [("from", _relative(s.sources, index)), ("activation", s.activation)]


def _read_route(b: Block, index: int) -> Route:
    groups = b.get_int("groups", 1, at_least=1, at_most=65536)
    return Route(
        sources=b.links("layers", index),
        groups=groups,
        group_id=b.get_int("group_id", 0, at_most=groups - 1),
        line=b.line,
        extras=b.extras(),
    )


def _route_pairs(s: Route, index: int) -> Pairs:
    pairs = [("layers", _relative(s.sources, index))]
    if s.groups > 1:
        pairs += [("groups", str(s.groups)), ("group_id", str(s.group_id))]
    return pairs


def _read_maxpool(b: Block, index: int) -> Maxpool:
    b.refuse("maxpool_depth", "out_channels", "antialiasing")
    stride = b.get_int("stride", 1, at_least=1, at_most=255)
    for key in ("stride_x", "stride_y"):
        if b.get_int(key, stride, at_least=1) != stride:
            raise CfgError(f"{b.where} {key} differs from stride={stride}: not supported")
    size = b.get_int("size", stride, at_least=1, at_most=255)
    return Maxpool(
        size=size,
        stride=stride,
        padding_px=b.get_int("padding", size - 1, at_most=255),
        line=b.line,
        extras=b.extras(),
    )


def _maxpool_pairs(s: Maxpool, index: int) -> Pairs:
    pairs = [("size", str(s.size)), ("stride", str(s.stride))]
    return pairs if s.padding_px == s.size - 1 else [*pairs, ("padding", str(s.padding_px))]


def _read_upsample(b: Block, index: int) -> Upsample:
    if b.get_float("scale", 1.0) != 1.0:
        raise CfgError(f"{b.where} scale={b.get_text('scale', '')} is not supported")
    stride = b.get_int("stride", 2, at_least=1, at_most=64)
    return Upsample(stride=stride, line=b.line, extras=b.extras())


def _read_avgpool(b: Block, index: int) -> Avgpool:
    return Avgpool(line=b.line, extras=b.extras())


def _read_scale_channels(b: Block, index: int) -> ScaleChannels:
    b.refuse("scale_wh")
    sources = b.links("from", index)
    if len(sources) != 1:
        raise CfgError(f"{b.where} from= names {len(sources)} sections, expected 1")
    activation = b.get_text("activation", "linear")
    return ScaleChannels(source=sources[0], activation=activation, line=b.line, extras=b.extras())


def _read_dropout(b: Block, index: int) -> Dropout:
    b.refuse("dropblock", "dropblock_size_rel", "dropblock_size_abs")
    probability = b.get_float("probability", 0.5)
    if not 0 <= probability < 1:
        raise CfgError(f"{b.where} probability={probability}: expected 0 up to, not with, 1")
    return Dropout(probability=probability, line=b.line, extras=b.extras())


def _read_yolo(b: Block, index: int) -> Yolo:
    b.refuse("embedding_layer")
    numbers = b.get_floats("anchors")
    if len(numbers) % 2 or not numbers:
        raise CfgError(
            f"{b.where} anchors: {len(numbers)} numbers, expected pairs of width, height"
        )
    anchors_wh = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    num = b.get_int("num", len(anchors_wh), at_least=1, at_most=len(anchors_wh))
    if num != len(anchors_wh):
        raise CfgError(f"{b.where} num={num}, but anchors= holds {len(anchors_wh)} pairs")
    return Yolo(
        mask=b.get_ints("mask") or tuple(range(num)),
        anchors_wh=anchors_wh,
        classes=b.get_int("classes", 20, at_least=1, at_most=65536),
        scale_x_y=b.get_float("scale_x_y", 1.0),
        new_coords=b.get_flag("new_coords"),
        ignore_thresh=b.get_float("ignore_thresh", 0.5),
        iou_thresh=b.get_float("iou_thresh", 1.0),
        objectness_smooth=b.get_flag("objectness_smooth"),
        line=b.line,
        extras=b.extras(),
    )


def _yolo_pairs(s: Yolo, index: int) -> Pairs:
    pairs = [
        ("mask", ",".join(map(str, s.mask))),
        ("anchors", ", ".join(f"{_num(w)},{_num(h)}" for w, h in s.anchors_wh)),
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
    return pairs


_READERS: dict[str, Callable[[Block, int], Section]] = {
    "convolutional": _read_conv,
    "shortcut": _read_shortcut,
    "route": _read_route,
    "maxpool": _read_maxpool,
    "upsample": _read_upsample,
    "avgpool": _read_avgpool,
    "scale_channels": _read_scale_channels,
    "dropout": _read_dropout,
    "yolo": _read_yolo,
}

_WRITERS: dict[type[Section], Callable[..., Pairs]] = {
    Conv: _conv_pairs,
    Shortcut: _shortcut_pairs,
    Route: _route_pairs,
    Maxpool: _maxpool_pairs,
    Upsample: lambda s, index: [("stride", str(s.stride))],
    Avgpool: lambda s, index: [],
    ScaleChannels: lambda s, index: [
        ("from", _relative((s.source,), index)),
        ("activation", s.activation),
    ],
    Dropout: lambda s, index: [("probability", _num(s.probability))],
    Yolo: _yolo_pairs,
}


def _block_text(section: Section, pairs: Pairs) -> str:
    return "".join([f"[{section.kind}]\n", *(f"{k}={v}\n" for k, v in (*pairs, *section.extras))])


def _relative(links: tuple[int, ...], index: int) -> str:
    return ",".join(str(link - index) for link in links)


def _num(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))
