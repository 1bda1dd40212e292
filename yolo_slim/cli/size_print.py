"""What a compression step prints of how much smaller its result is."""

from __future__ import annotations

from pathlib import Path

from yolo_slim.cfg import Cfg, totals
from yolo_slim.cli.options import console
from yolo_slim.console import percent
from yolo_slim.report.table import human


def print_shrinkage(out: Path, before: Cfg, after: Cfg) -> None:
    """Parameters and MACs before and after, and what share is left."""
    old, new = totals(before), totals(after)
    console.print(
        f"{out}: {human(old.parameters)} -> {human(new.parameters)} parameters "
        f"({percent(new.parameters / old.parameters)}), {human(old.macs)} -> "
        f"{human(new.macs)} MACs ({percent(new.macs / old.macs)})"
    )
