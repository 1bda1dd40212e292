"""A JSON file from outside, or the reason why it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yolo_slim.errors import DataError


def read_json(path: Path, expected: str) -> Any:
    """What the file holds. expected: what it should be, for the message: 'COCO annotations'.

    Raises DataError where it cannot be read or is not JSON; nesting without end is none.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Expected {expected}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}). Expected {expected}.") from error
