"""How far boxes reach, where the cells beside an object's are to look for it, too."""

from __future__ import annotations

from dataclasses import replace

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import with_scale_x_y
from yolo_slim.errors import InputError

REACH = 2.0
"""scale_x_y of a new network whose neighbouring cells look for an object: half a cell."""


def with_reach(bundle: Bundle, is_trained: bool) -> tuple[Bundle, str | None]:
    """The bundle with boxes that reach into the next cells, and a sentence on what was changed.

    Raises InputError for a trained one whose boxes do not.
    """
    cfg = bundle.cfg
    if any(yolo.scale_x_y != 1 for yolo in cfg.yolos):
        return bundle, None
    if is_trained:
        raise InputError(
            f"cells neighbours needs scale_x_y above 1, and {cfg.source} was trained with 1: leave "
            "it out, or train from scratch"
        )
    told = f"scale_x_y={REACH:g} is written into the cfg: boxes reach into the next cells"
    return replace(bundle, cfg=with_scale_x_y(cfg, REACH)), told
