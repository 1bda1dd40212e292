"""Where --json may write: over nothing that anybody else reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yolo_slim.bundle import CFG
from yolo_slim.errors import InputError
from yolo_slim.pipeline.step_folder import KEY, RECIPE

BELONGS = {
    "history.json": CFG, "precision.json": CFG, "result.json": KEY, "plan.json": KEY,
    "latency.json": RECIPE,
}  # fmt: skip
"""Files of bundles and of runs -> a file beside them that tells that they are."""


def require_json_target(path: Path) -> None:
    """Raises InputError for a folder, and for a file that --json must not replace: what is no JSON
    document, annotations, part of a bundle or of a run."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected the name of a file to write")
    mark = BELONGS.get(path.name)
    if mark is not None and (path.parent / mark).is_file():
        raise InputError(f"{path} is part of {path.parent} and is kept: choose another --json")
    if not path.is_file():
        return
    content = path.read_bytes()
    if not content.strip():
        return  # made by mktemp or touch, say: nothing is lost
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(
            f"{path} exists and is no JSON document: nothing was written; choose another --json"
        ) from None
    if _holds_annotations(document):
        raise InputError(f"{path} holds annotations and is kept: choose another --json")


def _holds_annotations(document: Any) -> bool:
    """COCO's, or those of a picture by labelme."""
    if not isinstance(document, dict):
        return False
    lists = {key for key, value in document.items() if isinstance(value, list)}
    return lists >= {"images", "categories"} or "shapes" in lists
