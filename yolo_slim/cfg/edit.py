"""Pure edits: a document in, a new document out, verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from yolo_slim.cfg.coupling import Coupling, Mask, is_depthwise
from yolo_slim.cfg.document import Cfg
from yolo_slim.cfg.heads import Head, Region, Yolo
from yolo_slim.cfg.limits import require_class_count
from yolo_slim.cfg.sections import Connected, Conv, Section, Select
from yolo_slim.cfg.verify import verify
from yolo_slim.errors import CfgError


def resize(cfg: Cfg, height: int, width: int) -> Cfg:
    """The same network for another input size; anchors stay as they are, in pixels of the input."""
    return _verified(replace(cfg, net=replace(cfg.net, height=height, width=width)))


def with_classes(cfg: Cfg, n_classes: int) -> Cfg:
    """Heads for another number of classes: each [yolo] or [region] and the convolution before it.

    Raises InputError for a number that is none, CfgError where there are no such heads.
    """
    require_class_count(n_classes)
    heads = {index: _head_with_classes(cfg, index, n_classes) for index in cfg.head_indices}
    if not heads:
        raise CfgError(f"{cfg.source} has no head: only a detector's classes can be changed")

    def edit(index: int, section: Section) -> Section:
        if index in heads:
            return heads[index]
        following = heads.get(index + 1)
        if following is None:
            return section
        if not isinstance(section, Conv):
            raise CfgError(
                f"{cfg.where(index)}: expected a [convolutional] before [{following.kind}]"
            )
        return replace(section, filters=following.head_filters)

    return _edited(cfg, edit)


def _head_with_classes(cfg: Cfg, index: int, n_classes: int) -> Head:
    head = cfg[index]
    if isinstance(head, Region) and head.tree:
        raise CfgError(
            f"{cfg.where(index)} tree={head.tree} names its {head.classes} classes: expected none"
        )
    if not isinstance(head, Yolo | Region):
        raise CfgError(
            f"{cfg.where(index)}: expected [yolo] or [region] heads, to have other classes"
        )
    return replace(head, classes=n_classes)


def with_anchors(cfg: Cfg, anchors_wh: Sequence[tuple[float, float]]) -> Cfg:
    """Other anchors, in pixels of the input, as many as the cfg has."""
    anchors = tuple((float(w), float(h)) for w, h in anchors_wh)

    def edit(index: int, section: Section) -> Section:
        if not isinstance(section, Yolo):
            return section
        if len(section.anchors_wh) != len(anchors):
            raise CfgError(
                f"{cfg.where(index)} holds {len(section.anchors_wh)} anchors, {len(anchors)} given"
            )
        return replace(section, anchors_wh=anchors)

    return _edited(cfg, edit)


def with_iou_thresh(cfg: Cfg, iou_thresh: float) -> Cfg:
    """Anchors whose shape overlaps an object's by more than `iou_thresh` are to find it, too."""
    return _edited(
        cfg, lambda _, s: replace(s, iou_thresh=iou_thresh) if isinstance(s, Yolo) else s
    )


def with_scale_x_y(cfg: Cfg, scale_x_y: float) -> Cfg:
    """Boxes whose centres reach (scale_x_y - 1) / 2 of a cell over its border."""
    return _edited(cfg, lambda _, s: replace(s, scale_x_y=scale_x_y) if isinstance(s, Yolo) else s)


def without_batchnorm(cfg: Cfg) -> Cfg:
    """Every convolution and [connected] with a bias in the place of its BatchNorm."""
    return _edited(
        cfg,
        lambda _, s: replace(s, batch_normalize=False) if isinstance(s, Conv | Connected) else s,
    )


def narrow(cfg: Cfg, coupling: Coupling, keep: Mask) -> Cfg:
    """The cfg with only the classes of channels that `keep` (bool [n_classes]) names."""

    def edit(index: int, section: Section) -> Section:
        kept_in = keep[coupling.classes(cfg.links(index)[0])]
        kept_out = int(keep[coupling.classes(index)].sum())
        if kept_out == 0:
            raise CfgError(
                f"{cfg.where(index)} would keep 0 of {len(coupling.atoms(index))} channels"
            )
        match section:
            case Conv():
                depthwise = is_depthwise(section, len(kept_in))
                groups = int(kept_in.sum()) if depthwise else section.groups
                return replace(section, filters=kept_out, groups=groups)
            case Connected():
                return replace(section, output=kept_out)
            case Select():
                place = kept_in.cumsum() - 1  # of a kept channel among the kept
                channels = tuple(int(place[c]) for c in section.channels if kept_in[c])
                return replace(section, channels=channels)
        return section

    return _edited(cfg, edit)


def _edited(cfg: Cfg, edit: Callable[[int, Section], Section]) -> Cfg:
    return _verified(
        replace(cfg, sections=tuple(edit(index, section) for index, section in enumerate(cfg)))
    )


def _verified(cfg: Cfg) -> Cfg:
    verify(cfg)
    return cfg
