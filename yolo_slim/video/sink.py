"""Where annotated pictures go: OUT/NAME.jpg, and OUT/NAME.mp4 for the frames of a video."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from yolo_slim.errors import RunError
from yolo_slim.files import whole_file
from yolo_slim.video.source import Frame

_ASSUMED_FPS = 25.0
_JPEG_QUALITY = 92


def picture_name(name: str) -> str:
    """The file that a still picture called `name` is written to."""
    return f"{name}.jpg"


def video_name(name: str) -> str:
    """The file that a video called `name` is written to."""
    return f"{name}.mp4"


class Sink:
    """Takes frames in the order of their sources and files them; a context manager.

    A video gets its name when the next source begins or the block ends; after an error it is
    removed, while pictures and videos finished before stay. A name that this sink has used already
    gets a number (`street-2.jpg`). Files of an earlier run are replaced.
    mp4 needs even sides: a video of odd width or height loses its last column or row.

    >>> with Sink(Path("out")) as sink:                        # doctest: +SKIP
    ...     for frame in frames("street.mp4"):
    ...         sink.write(frame, draw(frame.image_bgr, detect(frame.image_bgr), names))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []  # finished files, in the order of their sources
        self._taken: set[Path] = set()
        self._video: _Video | None = None

    def write(self, frame: Frame, image_bgr: np.ndarray) -> None:
        """Files the annotated picture of a frame: uint8 [H, W, 3], of the frame's size in a video.

        Raises RunError when it cannot be written.
        """
        continues = frame.video is not None and frame.index > 0
        if not continues:
            self._finish()
        if frame.video is None:
            path = self._free(picture_name(frame.name))
            write_jpeg(path, image_bgr)
            self.written.append(path)
            return
        if self._video is None:
            path = self._free(video_name(frame.name))
            height, width = image_bgr.shape[:2]
            self._video = _Video(path, width, height, frame.video.fps or _ASSUMED_FPS)
        self._video.write(image_bgr)

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        elif self._video is not None:
            self._video.abandon(error)

    def _finish(self) -> None:
        if self._video is not None:
            video, self._video = self._video, None
            video.close()
            self.written.append(video.path)

    def _free(self, file_name: str) -> Path:
        wanted = self.folder / file_name
        path, number = wanted, 2
        while path in self._taken:
            path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
            number += 1
        self._taken.add(path)
        return path


def write_jpeg(path: Path, image_bgr: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as JPEG, whole or not at all."""
    with whole_file(path) as temporary:
        if not cv2.imwrite(str(temporary), image_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise RunError(f"{path} could not be written as JPEG. Is there space left?")


class _Video:
    """One mp4 in the making, under a temporary name until `close`."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path = path
        self._size = (width, height)
        with ExitStack() as stack:
            temporary = stack.enter_context(whole_file(path))
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(temporary), codec, fps, self._size)
            stack.callback(self._writer.release)
            if not self._writer.isOpened():
                raise RunError(
                    f"{path}: OpenCV cannot write {width}x{height} at {fps:g} fps (mp4v)."
                )
            self._stack = stack.pop_all()

    def write(self, image_bgr: np.ndarray) -> None:
        height, width = image_bgr.shape[:2]
        if (width, height) != self._size:  # OpenCV would drop the frame without a word
            expected = f"{self._size[0]}x{self._size[1]}"
            raise RunError(
                f"{self.path}: a frame is {width}x{height}, the video {expected}. "
                "All frames of a video must have one size."
            )
        self._writer.write(image_bgr)

    def close(self) -> None:
        self._stack.close()

    def abandon(self, error: BaseException) -> None:
        self._stack.__exit__(type(error), error, error.__traceback__)
