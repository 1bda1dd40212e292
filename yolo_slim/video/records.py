"""What was seen, frame by frame, as JSON Lines: one object a line, in the order of the frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from yolo_slim.detections import Detections
from yolo_slim.files import whole_file
from yolo_slim.video.source import Frame

Record = dict[str, Any]
"""See `record`."""


class WriteRecord(Protocol):
    def __call__(self, frame: Frame, detections: Detections) -> Record: ...


@contextmanager
def record_file(path: Path, class_names: Sequence[str]) -> Iterator[WriteRecord]:
    """Yields `write(frame, detections)`, which gives back what it wrote; the file is there once the
    block has ended without error.

    >>> with record_file(Path("out/detections.jsonl"), names) as write:     # doctest: +SKIP
    ...     write(frame, detections)
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as lines:

        def write(frame: Frame, detections: Detections) -> Record:
            written = record(frame, detections, class_names)
            line = json.dumps(written, ensure_ascii=False)
            lines.write(f"{line}\n")  # at once: Ctrl-C leaves no half of a line
            return written

        yield write


def record(frame: Frame, detections: Detections, class_names: Sequence[str]) -> Record:
    """One line: `name`, `index`, `width`, `height` of the frame, and its `detections`, each with
    `box_xyxy` in pixels (to a hundredth), `score` 0 to 1, `class_id`, and `class`: the name, null
    where there is none."""
    height, width = frame.image_bgr.shape[:2]
    rows = zip(
        detections.boxes_xyxy.tolist(),
        detections.scores.tolist(),
        detections.class_ids.tolist(),
        strict=True,
    )
    return {
        "name": frame.name,
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
