"""What a cfg says of its own training: keys that compute nothing, read when something trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Yolo
from yolo_slim.cfg.lexing import Block
from yolo_slim.cfg.sections import IMAGE

BoxLoss = Literal["mse", "iou", "giou", "diou", "ciou"]
Policy = Literal["constant", "steps", "step", "poly", "exp", "sig", "sgdr"]

BOX_LOSSES: dict[str, BoxLoss] = {
    "mse": "mse", "iou": "iou", "giou": "giou", "diou": "diou", "ciou": "ciou",
}  # fmt: skip
_POLICIES: dict[str, Policy] = {
    "constant": "constant", "steps": "steps", "step": "step", "poly": "poly", "exp": "exp",
    "sig": "sig", "sgdr": "sgdr",
}  # fmt: skip
MULTI_SCALE_FACTOR = 1.4
"""What Darknet takes for `random=1`; any other number above 1 is the factor itself."""


@dataclass(frozen=True)
class HeadKeys:
    """The training keys of a [yolo] section.

    iou_loss: None where the cfg is silent; Darknet's default is mse.
    obj_normalizer, cls_normalizer: weights of objectness and classes. AlexeyAB's iou_normalizer is
    not read: it scales a gradient that Darknet computes in other units.
    label_smooth_eps: how far a class target is from 0 and 1, twice over.
    focal_loss: whether sure answers count less (Lin et al., 2017).
    """

    iou_loss: BoxLoss | None = None
    obj_normalizer: float = 1.0
    cls_normalizer: float = 1.0
    label_smooth_eps: float = 0.0
    focal_loss: bool = False


@dataclass(frozen=True)
class NetKeys:
    """The training keys of [net], with Darknet's defaults; None where it matters who is silent.

    batch, subdivisions: images an optimizer step, and in how many parts they are taken.
    steps, scales: at which step the learning rate is multiplied, and by what.
    hue: share of the colour circle; saturation, exposure: factors, 1 for none.
    multi_scale: the factor by which the input grows and shrinks; 1 for none.
    """

    batch: int | None = None
    subdivisions: int = 1
    learning_rate: float | None = None
    momentum: float = 0.9
    decay: float = 0.0001
    burn_in: int = 0
    max_batches: int = 0
    policy: Policy = "constant"
    power: float = 4.0
    steps: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    hue: float | None = None
    saturation: float | None = None
    exposure: float | None = None
    mosaic: bool | None = None
    mixup: bool | None = None
    flip: bool | None = None
    multi_scale: float = 1.0


def head_keys(cfg: Cfg) -> tuple[HeadKeys, ...]:
    """The training keys of each [yolo] section. Raises CfgError for a value that is none."""
    found = []
    for index in cfg.head_indices:
        if not isinstance(cfg[index], Yolo):
            continue
        b = _block(cfg, index)
        found.append(
            HeadKeys(
                iou_loss=b.get_choice("iou_loss", BOX_LOSSES, "mse") if b.raw("iou_loss") else None,
                obj_normalizer=b.get_float("obj_normalizer", 1.0),
                cls_normalizer=b.get_float("cls_normalizer", 1.0),
                label_smooth_eps=b.get_float("label_smooth_eps", 0.0),
                focal_loss=b.get_flag("focal_loss"),
            )
        )
    return tuple(found)


def net_keys(cfg: Cfg) -> NetKeys:
    """The training keys of [net], and of the last [yolo] what concerns the pictures.

    Raises CfgError for a value that is none.
    """
    b = _block(cfg, IMAGE)
    head = _block(cfg, cfg.head_indices[-1]) if cfg.head_indices else b
    random = head.get_float("random", 0.0)
    return NetKeys(
        batch=b.get_int("batch", 1, at_least=1, at_most=1 << 16) if b.raw("batch") else None,
        subdivisions=b.get_int("subdivisions", 1, at_least=1, at_most=1 << 16),
        learning_rate=_float_or_none(b, "learning_rate"),
        momentum=b.get_float("momentum", 0.9),
        decay=b.get_float("decay", 0.0001),
        burn_in=b.get_int("burn_in", 0, at_least=0, at_most=1 << 30),
        max_batches=b.get_int("max_batches", 0, at_least=0, at_most=1 << 30),
        policy=b.get_choice("policy", _POLICIES, "constant"),
        power=b.get_float("power", 4.0),
        steps=b.get_floats("steps"),
        scales=b.get_floats("scales"),
        hue=_float_or_none(b, "hue"),
        saturation=_float_or_none(b, "saturation"),
        exposure=_float_or_none(b, "exposure"),
        mosaic=_flag_or_none(b, "mosaic"),
        mixup=_flag_or_none(b, "mixup"),
        flip=_flag_or_none(b, "flip"),
        multi_scale=MULTI_SCALE_FACTOR if random == 1 else max(random, 1.0),
    )


def _block(cfg: Cfg, index: int) -> Block:
    section = cfg.net if index == IMAGE else cfg[index]
    block = Block(section.kind, section.line, cfg.source)
    block.pairs = [(key, value, section.line) for key, value in section.extras]
    return block


def _float_or_none(b: Block, key: str) -> float | None:
    return b.get_float(key, 0.0) if b.raw(key) else None


def _flag_or_none(b: Block, key: str) -> bool | None:
    return b.get_flag(key) if b.raw(key) else None
