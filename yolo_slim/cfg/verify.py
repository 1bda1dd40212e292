"""What is legal: one pass over a document that names file, line, what was found and expected."""

from __future__ import annotations

from math import prod

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head, Region, Yolo
from yolo_slim.cfg.limits import (
    MAX_CLASSES,
    MAX_FILTERS,
    MAX_IMAGE_CHANNELS,
    MAX_MAP_VALUES,
    MAX_OUTPUTS,
    MAX_SECTIONS,
    MAX_SIDE_PX,
    MAX_WEIGHTS,
)
from yolo_slim.cfg.sections import (
    ACTIVATIONS,
    IMAGE,
    Connected,
    Conv,
    Local,
    Net,
    Section,
    Select,
    Softmax,
)
from yolo_slim.cfg.shapes import Shape, infer_shapes, input_shape
from yolo_slim.cfg.tensors import tensor_shapes
from yolo_slim.errors import CfgError

_COUNTS: dict[type[Section], dict[str, int]] = {
    Net: {"width": MAX_SIDE_PX, "height": MAX_SIDE_PX, "channels": MAX_IMAGE_CHANNELS},
    Conv: {"filters": MAX_FILTERS},
    Local: {"filters": MAX_FILTERS},
    Connected: {"output": MAX_OUTPUTS},
    Head: {"classes": MAX_CLASSES},
}
"""What edits change and readers limit: from 1 to how many."""


def verify(cfg: Cfg) -> None:
    """Raises CfgError unless the network that `cfg` describes can be built and makes sense."""
    if not cfg.sections:
        raise CfgError(f"{cfg.source}: [net] alone, no section to compute")
    if len(cfg) > MAX_SECTIONS:
        raise CfgError(
            f"{cfg.source}: {len(cfg):,} sections: refused, a cfg has at most {MAX_SECTIONS:,}"
        )
    _verify_counts(cfg, IMAGE, cfg.net)
    _verify_net(cfg)
    for index, section in enumerate(cfg):
        _verify_counts(cfg, index, section)
        activation = getattr(section, "activation", "linear")
        if activation not in ACTIVATIONS:
            raise CfgError(
                f"{cfg.where(index)} activation={activation} is not supported. Known: "
                + ", ".join(ACTIVATIONS)
            )
        if isinstance(section, Head) and index == 0:
            raise CfgError(
                f"{cfg.where(index)} reads the image: a [convolutional] must come before it"
            )
        if isinstance(section, Softmax) and not section.temperature > 0:
            raise CfgError(f"{cfg.where(index)} temperature={section.temperature}: expected > 0")
        if isinstance(section, Yolo):
            _verify_yolo(cfg, index, section)
        if isinstance(section, Yolo | Region):
            _verify_anchors(cfg, index, section)
    shapes = infer_shapes(cfg)
    _verify_size(cfg, shapes)
    for index, section in enumerate(cfg):
        if isinstance(section, Conv) and section.share_index is not None:
            _verify_shared(cfg, shapes, index, section.share_index)
    kinds = {head.kind for head in cfg.heads}
    if len(kinds) > 1:
        raise CfgError(f"{cfg.source}: heads of different kinds: {', '.join(sorted(kinds))}")
    classes = {head.classes for head in cfg.heads}
    if len(classes) > 1:
        raise CfgError(
            f"{cfg.source}: its [{kinds.pop()}] sections disagree on classes: {sorted(classes)}"
        )


def _verify_counts(cfg: Cfg, index: int, section: Section) -> None:
    for kind, counts in _COUNTS.items():
        for key, at_most in counts.items() if isinstance(section, kind) else ():
            found = getattr(section, key)
            if not 1 <= found <= at_most:
                raise CfgError(
                    f"{cfg.where(index)} {key}={found}: expected a whole number from 1 to {at_most}"
                )
    if isinstance(section, Select) and len(section.channels) > MAX_FILTERS:
        raise CfgError(
            f"{cfg.where(index)} selects {len(section.channels):,} channels: expected at most "
            f"{MAX_FILTERS:,}"
        )


def _verify_net(cfg: Cfg) -> None:
    net = cfg.net
    if not 0 < net.bn_eps < 1:
        raise CfgError(f"{cfg.where(-1)} bn_eps={net.bn_eps}: expected between 0 and 1")
    for key, values in (("mean", net.mean), ("std", net.std)):
        if values and len(values) != net.channels:
            raise CfgError(
                f"{cfg.where(-1)} {key} has {len(values)} numbers, channels={net.channels}"
            )
    if any(value < 1e-6 for value in net.std):
        raise CfgError(f"{cfg.where(-1)} std={net.std}: expected positive numbers, 1e-6 or more")


def _verify_yolo(cfg: Cfg, index: int, section: Yolo) -> None:
    n_anchors = len(section.anchors_wh)
    if any(not 0 <= m < n_anchors for m in section.mask):
        raise CfgError(
            f"{cfg.where(index)} mask={section.mask} names an anchor that does not exist: "
            f"anchors= holds {n_anchors}"
        )
    if not 0.5 <= section.scale_x_y <= 4:
        raise CfgError(f"{cfg.where(index)} scale_x_y={section.scale_x_y}: expected 0.5 to 4")


def _verify_anchors(cfg: Cfg, index: int, section: Yolo | Region) -> None:
    if any(side <= 0 for anchor in section.anchors_wh for side in anchor):
        raise CfgError(f"{cfg.where(index)} anchors must be positive numbers")


def _verify_shared(cfg: Cfg, shapes: tuple[Shape, ...], index: int, owner_index: int) -> None:
    def kernel(place: int) -> tuple[object, ...] | None:
        conv = cfg[place]
        if not isinstance(conv, Conv):
            return None
        channels = input_shape(cfg, shapes, place).channels
        return conv.filters, channels, conv.size, conv.groups, conv.batch_normalize, conv.xnor

    conv = cfg[index]
    if isinstance(conv, Conv) and conv.xnor:
        raise CfgError(f"{cfg.where(index)} xnor=1 beside share_index is not supported")
    if kernel(owner_index) != kernel(index):
        raise CfgError(
            f"{cfg.where(index)} share_index names section {owner_index}, "
            f"[{cfg[owner_index].kind}]: expected a [convolutional] of the same filters, input "
            "channels, size, groups and batch_normalize"
        )


def _verify_size(cfg: Cfg, shapes: tuple[Shape, ...]) -> None:
    """Refuses what could not be allocated, before anything is."""
    image = Shape(cfg.net.channels, *cfg.input_hw)
    if image.values > MAX_MAP_VALUES:
        raise CfgError(f"{cfg.where(IMAGE)} input {image} is larger than {MAX_MAP_VALUES:,}")
    total = 0
    for index, (shape, tensors) in enumerate(zip(shapes, tensor_shapes(cfg), strict=True)):
        if shape.values > MAX_MAP_VALUES:
            raise CfgError(f"{cfg.where(index)} output {shape} is larger than {MAX_MAP_VALUES:,}")
        total += sum(map(prod, tensors.values()))
        if total > MAX_WEIGHTS:
            raise CfgError(f"{cfg.where(index)} brings the weights over {MAX_WEIGHTS:,}: refused")
