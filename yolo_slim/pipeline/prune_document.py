"""What a prune step came to, as JSON holds it."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from yolo_slim.pipeline.prune_step import Pruned
from yolo_slim.pipeline.size import ModelSize

PLAN = "plan.json"
"""In the folder of a step."""


def prune_document(done: Pruned, sizes: tuple[ModelSize, ModelSize]) -> dict[str, Any]:
    """Size before and after, and what was decided of each convolution, block and kernel."""
    return {
        "before": asdict(sizes[0]),
        "after": asdict(sizes[1]),
        "planned_latency_ms": done.planned_ms,
        "ratio": None if done.channels is None else done.channels.ratio,
        "notes": list(done.notes),
        "convolutions": _convolutions(done),
        "entrances": [
            {"section": norm, "before": len(kept), "after": int(kept.sum())}
            for norm, kept in done.entrances.items()
        ],
        "layers": _layers(done),
        "zeros": _zeros(done),
    }


def _layers(pruned: Pruned) -> list[dict[str, Any]]:
    # Numbers of a JSON file know no infinity.
    plan = pruned.layers
    if plan is None:
        return []
    return [
        {
            "first": block.branch[0],
            "shortcut": block.shortcut,
            "score": float(score) if isfinite(score) else None,
            "dropped": block in plan.dropped,
        }
        for block, score in zip(plan.blocks, plan.scores, strict=True)
    ]


def _convolutions(pruned: Pruned) -> list[dict[str, Any]]:
    return [] if pruned.channels is None else [asdict(row) for row in pruned.channels.rows()]


def _zeros(pruned: Pruned) -> list[dict[str, Any]]:
    return [
        {
            "section": found.index,
            "weights": found.n_weights,
            "zeros": found.n_zeros,
            "left_alone": found.left_alone,
        }
        for found in pruned.zeros
    ]
