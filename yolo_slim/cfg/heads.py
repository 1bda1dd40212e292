"""Detection heads: sections that compute nothing and say how the map before them becomes boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from yolo_slim.cfg.sections import Section

NmsKind = Literal["default", "greedynms", "diounms"]

Anchors = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Head(Section):
    """What all heads have in common.

    nms_kind, beta_nms: how overlapping boxes compete; see `nn.suppress`.
    """

    classes: int = 20
    nms_kind: NmsKind = "default"
    beta_nms: float = 0.6

    @property
    def head_filters(self) -> int:
        """Values at each place of the map that this head reads (of the whole map for YOLOv1)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Yolo(Head):
    """[yolo]: x, y, w, h, objectness and classes for each of the masked anchors.

    anchors_wh: all anchors of the network in pixels of the input, [num][2]; `mask` picks this
    head's.
    """

    kind: ClassVar[str] = "yolo"
    values_per_box: ClassVar[int] = 5
    mask: tuple[int, ...]
    anchors_wh: Anchors
    scale_x_y: float = 1.0
    new_coords: bool = False
    ignore_thresh: float = 0.5
    iou_thresh: float = 1.0
    objectness_smooth: bool = False

    @property
    def masked_anchors_wh(self) -> Anchors:
        return tuple(self.anchors_wh[m] for m in self.mask)

    @property
    def head_filters(self) -> int:
        return len(self.mask) * (self.values_per_box + self.classes)


@dataclass(frozen=True, kw_only=True)
class GaussianYolo(Yolo):
    """[Gaussian_yolo]: as [yolo], each of x, y, w, h followed by its uncertainty, which lowers
    the score (Choi et al., Gaussian YOLOv3, 2019)."""

    kind: ClassVar[str] = "Gaussian_yolo"
    values_per_box: ClassVar[int] = 9


@dataclass(frozen=True, kw_only=True)
class Region(Head):
    """[region]: the head of YOLOv2.

    anchors_wh: in cells of the map. tree: the file of a class hierarchy (YOLO9000); the map is
    computed, but boxes are not read off it.
    """

    kind: ClassVar[str] = "region"
    anchors_wh: Anchors
    softmax: bool = False
    tree: str = ""

    @property
    def head_filters(self) -> int:
        return len(self.anchors_wh) * (5 + self.classes)


@dataclass(frozen=True, kw_only=True)
class Detection(Head):
    """[detection]: the head of YOLOv1, which reads a [connected] section.

    Its input holds class scores [side^2, classes], objectness [side^2, num], and boxes
    [side^2, num, 4], one after the other; sqrt: width and height are predicted as square roots.
    """

    kind: ClassVar[str] = "detection"
    side: int = 7
    num: int = 1
    softmax: bool = False
    sqrt: bool = False

    @property
    def head_filters(self) -> int:
        return self.side**2 * (self.classes + 5 * self.num)
