"""Pictures and files that the tests of yolo_slim.data make, and where real ones lie."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets; where it is absent the test is skipped, in CI it fails."""
    folder = SHARED / "data"
    if not folder.is_dir():
        message = f"real data sets are not at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def document() -> dict[str, Any]:
    """COCO annotations of two pictures, 40 wide and 30 high; categories 3 and 7."""
    return {
        "images": [
            {"id": 5, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 2, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 9, "image_id": 5, "category_id": 7, "bbox": [1, 2, 10, 20], "area": 150},
            {"id": 8, "image_id": 5, "category_id": 3, "bbox": [3.25, 4, 5, 6], "iscrowd": 1},
        ],
        "categories": [{"id": 7, "name": "pear"}, {"id": 3, "name": "fig"}],
    }


@pytest.fixture
def write_set(tmp_path: Path) -> Callable[[Any], tuple[Path, Path]]:
    """Writes a document (or raw text) and its two pictures; gives folder and JSON back."""

    def write(document: Any) -> tuple[Path, Path]:
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        for number, name in enumerate(("a.png", "b.png")):
            cv2.imwrite(str(images / name), np.full((30, 40, 3), 60 * number, np.uint8))
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "set.json").write_text(text)
        return images, tmp_path / "set.json"

    return write
