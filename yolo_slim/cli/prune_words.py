"""A prune step from what was typed."""

from __future__ import annotations

from typing import Any

from yolo_slim.cli.step_words import step_of
from yolo_slim.pipeline.recipe_steps import PruneStep


def typed_step(**options: Any) -> PruneStep:
    """Raises InputError, naming options as they are typed, for what is no step."""
    return step_of(PruneStep, "prune", **options)
