"""What of a file has come, and what it was called then."""

from __future__ import annotations

import json
from pathlib import Path


class Part:
    """What of a file is there."""

    def __init__(self, path: Path) -> None:
        self.data = path.with_name(path.name + ".part")
        self._notes = path.with_name(path.name + ".part.json")

    @property
    def size(self) -> int:
        return self.data.stat().st_size if self.data.is_file() else 0

    def validator(self, url: str) -> str | None:
        """What the server called the version that the data is of; None where nobody knows."""
        try:
            notes = json.loads(self._notes.read_bytes())
            return notes["validator"] if notes["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Forgets what there was."""
        self.remove()
        self._notes.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def remove(self) -> None:
        self.data.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
