"""What was seen in all: every picture whole, of each video how many frames and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from yolo_slim.video.records import Record
from yolo_slim.video.source import Frame


class Tally:
    """pictures: their records. videos: `name`, `file`, `frames`, `objects` in all of them, and
    `frames_per_second`, from decoding to what was made of a frame."""

    def __init__(self) -> None:
        self.pictures: list[Record] = []
        self.videos: list[dict[str, Any]] = []
        self._began = time.perf_counter()

    def watch(self, stream: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames; the clock of a video runs from here."""
        self._began = time.perf_counter()
        yield from stream

    def add(self, frame: Frame, record: Record) -> None:
        """Called once for each frame of the stream that is watched, in order."""
        if frame.video is None:
            self.pictures.append(record)
            return
        if frame.index == 0:
            self.videos.append(
                {"name": frame.name, "file": record["file"], "frames": 0, "objects": 0}
            )
        video = self.videos[-1]
        video["frames"] += 1
        video["objects"] += len(record["detections"])
        seconds = time.perf_counter() - self._began
        video["frames_per_second"] = round(video["frames"] / max(seconds, 1e-9), 2)
