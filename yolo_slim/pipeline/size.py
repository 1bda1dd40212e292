"""How large a bundle is, as JSON holds it."""

from __future__ import annotations

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import totals


def size(bundle: Bundle) -> dict[str, int]:
    """Its parameters, and multiply-accumulates of one image."""
    total = totals(bundle.cfg)
    return {"parameters": total.parameters, "macs": total.macs}
