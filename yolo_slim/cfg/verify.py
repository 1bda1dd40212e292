"""What is legal: one pass over a document that names file, line, what was found and expected."""

from __future__ import annotations

from yolo_slim.cfg.sections import ACTIVATIONS, Cfg, Conv, ScaleChannels, Shortcut, Yolo
from yolo_slim.cfg.shapes import infer_shapes, input_shape
from yolo_slim.errors import CfgError

MAX_WEIGHTS = 1_000_000_000
MAX_MAP_VALUES = 1 << 30


def verify(cfg: Cfg) -> None:
    """Raises CfgError unless the network that `cfg` describes can be built and makes sense."""
    net = cfg.net
    if not cfg.sections:
        raise CfgError(f"{cfg.source}: [net] alone, no section to compute")
    if not 0 < net.bn_eps < 1:
        raise CfgError(f"{cfg.where(-1)} bn_eps={net.bn_eps}: expected between 0 and 1")
    for key, values in (("mean", net.mean), ("std", net.std)):
        if values and len(values) != net.channels:
            raise CfgError(
                f"{cfg.where(-1)} {key} has {len(values)} numbers, channels={net.channels}"
            )
    if any(value <= 0 for value in net.std):
        raise CfgError(f"{cfg.where(-1)} std={net.std}: expected positive numbers")
    for index, section in enumerate(cfg):
        if isinstance(section, Conv | Shortcut | ScaleChannels):
            _verify_activation(cfg, index, section.activation)
        if isinstance(section, Yolo):
            _verify_yolo(cfg, index, section)
    _verify_size(cfg)
    classes = {yolo.classes for yolo in cfg.yolos}
    if len(classes) > 1:
        raise CfgError(f"{cfg.source}: its [yolo] sections disagree on classes: {sorted(classes)}")


def _verify_activation(cfg: Cfg, index: int, activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise CfgError(
            f"{cfg.where(index)} activation={activation} is not supported. Known: "
            + ", ".join(ACTIVATIONS)
        )


def _verify_yolo(cfg: Cfg, index: int, section: Yolo) -> None:
    if index == 0:
        raise CfgError(f"{cfg.where(index)} reads the image: a [convolutional] must come before it")
    n_anchors = len(section.anchors_wh)
    if any(not 0 <= m < n_anchors for m in section.mask):
        raise CfgError(
            f"{cfg.where(index)} mask={section.mask} names an anchor that does not exist: "
            f"anchors= holds {n_anchors}"
        )
    if any(side <= 0 for anchor in section.anchors_wh for side in anchor):
        raise CfgError(f"{cfg.where(index)} anchors must be positive pixels")
    if not 0.5 <= section.scale_x_y <= 4:
        raise CfgError(f"{cfg.where(index)} scale_x_y={section.scale_x_y}: expected 0.5 to 4")


def _verify_size(cfg: Cfg) -> None:
    """Refuses what could not be allocated, before anything is."""
    shapes = infer_shapes(cfg)
    total = 0
    for index, (section, shape) in enumerate(zip(cfg, shapes, strict=True)):
        if shape.channels * shape.height * shape.width > MAX_MAP_VALUES:
            raise CfgError(f"{cfg.where(index)} output {shape} is larger than {MAX_MAP_VALUES:,}")
        if isinstance(section, Conv):
            in_channels = input_shape(cfg, shapes, index).channels
            total += section.filters * in_channels // section.groups * section.size**2
        if total > MAX_WEIGHTS:
            raise CfgError(f"{cfg.where(index)} brings the weights over {MAX_WEIGHTS:,}: refused")
