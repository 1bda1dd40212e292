"""What a folder of downloads holds, and what it came from: `unpacked.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from yolo_slim.errors import DataError
from yolo_slim.files import whole_file

DOWNLOADS = ".downloads"
"""Where files lie until they have been unpacked."""

STAMP = "unpacked.json"


def read_stamps(out: Path) -> dict[str, str]:
    """Folder below `out` -> what it came from, a checksum or a word.

    Raises DataError where `out` is a file, or what it says of itself is damaged.
    """
    try:
        found = json.loads((out / STAMP).read_bytes())
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise DataError(f"{out} is a file. Expected the name of a folder.") from error
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{out / STAMP} is damaged. Remove it and the folders beside it.")
    return {str(folder): str(origin) for folder, origin in found.items()}


def write_stamps(out: Path, there: Mapping[str, str]) -> None:
    with whole_file(out / STAMP) as temporary:
        temporary.write_text(json.dumps(there, indent=1) + "\n", encoding="utf-8")


def check_free(folder: Path, origin: str, there: Mapping[str, str]) -> None:
    """Raises DataError where `folder` is there and did not come from `origin`."""
    known = there.get(folder.name)
    if known == origin or (known is None and not folder.exists()):
        return
    raise DataError(f"{folder} holds something else. Name another --out, or remove it.")
