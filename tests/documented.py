"""The commands that a document shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

COMMAND = re.compile(r"\s*(?:yolo-slim|python tools/(?P<tool>\w+)\.py)\s+(?P<words>.*)")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each that stands whole on a line of its own."""
    for line in text.replace("\\\n", " ").splitlines():
        if (found := COMMAND.fullmatch(line)) is not None:
            tool = [found["tool"]] if found["tool"] else []
            words = [*tool, *shlex.split(found["words"], comments=True)]
            if "..." not in words:
                yield words
