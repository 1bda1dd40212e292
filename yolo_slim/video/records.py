"""What was seen, frame by frame, as JSON Lines: one object a line, in the order of the frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from yolo_slim.detections import Detections
from yolo_slim.errors import InputError
from yolo_slim.files import whole_file
from yolo_slim.video.source import Frame

Record = dict[str, Any]
"""See `record`."""


class WriteRecord(Protocol):
    def __call__(self, frame: Frame, detections: Detections, file: Path) -> Record: ...


@contextmanager
def record_file(path: Path, class_names: Sequence[str]) -> Iterator[WriteRecord]:
    """Yields `write(frame, detections, file)`, which gives back what it wrote; the file is there
    once the block has ended without error.

    >>> with record_file(Path("out/detections.jsonl"), names) as write:     # doctest: +SKIP
    ...     write(frame, detections, sink.write(frame, picture))
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as lines:

        def write(frame: Frame, detections: Detections, file: Path) -> Record:
            written = record(frame, detections, file, class_names)
            line = json.dumps(written, ensure_ascii=False)
            lines.write(f"{line}\n")  # at once: Ctrl-C leaves no half of a line
            return written

        yield write


def require_records(path: Path) -> None:
    """Raises InputError where there is a file of that name that holds no records."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    if line.strip() and not _is_record(line):
        raise InputError(f"{path} exists and holds no detections: it is kept; choose another --out")


def _is_record(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"name", "index", "detections"} <= found.keys()


def record(frame: Frame, detections: Detections, file: Path, class_names: Sequence[str]) -> Record:
    """One line: `name` of the frame, `file`, the name of the one that it is drawn in, `index`,
    `width`, `height`, and its `detections`, each with `box_xyxy` in pixels (to a hundredth),
    `score` 0 to 1, `class_id`, and `class`: the name, null where there is none."""
    height, width = frame.image_bgr.shape[:2]
    rows = zip(
        detections.boxes_xyxy.tolist(),
        detections.scores.tolist(),
        detections.class_ids.tolist(),
        strict=True,
    )
    return {
        "name": frame.name,
        "file": file.name,
        "index": frame.index,
        "width": width,
        "height": height,
        "detections": [
            {
                "box_xyxy": [round(edge, 2) for edge in box_xyxy],
                "score": round(score, 5),
                "class_id": class_id,
                "class": class_names[class_id] if class_id < len(class_names) else None,
            }
            for box_xyxy, score, class_id in rows
        ],
    }
