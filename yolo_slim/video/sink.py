"""Where annotated pictures go: OUT/NAME.jpg, and OUT/NAME.mp4 for the frames of a video."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from yolo_slim.errors import InputError, RunError
from yolo_slim.files import whole_file
from yolo_slim.video.names import FreeNames, opencv_path
from yolo_slim.video.source import Frame

_ASSUMED_FPS = 25.0
_JPEG_QUALITY = 92

_TEXT = b"drawn by yolo_slim"
MARK = (8 + len(_TEXT)).to_bytes(4, "big") + b"free" + _TEXT
"""The end of every file that a sink writes: of an mp4 a box that players skip, of a JPEG bytes past
its end. So a later run knows its own files from other people's."""


def picture_name(name: str) -> str:
    """The file that a still picture called `name` is written to."""
    return f"{name}.jpg"


def video_name(name: str) -> str:
    """The file that a video called `name` is written to."""
    return f"{name}.mp4"


def require_own(path: Path) -> None:
    """Raises InputError where there is something of that name that no sink has written; an empty
    file is no loss."""
    if path.is_dir() or (path.is_file() and not _is_own(path)):
        raise InputError(
            f"{path} exists and was not drawn by yolo_slim: it is kept; choose another --out"
        )


def _is_own(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(MARK)))
        return file.read() in (b"", MARK)


class Sink:
    """Takes frames in the order of their sources and files them; a context manager.

    A video gets its name when the next source begins or the block ends; after an error it is
    removed, while pictures and videos finished before stay. A name that this sink has used already
    gets a number (`street-2.jpg`). Files of an earlier run are replaced, no others.
    mp4 needs even sides: a video of odd width or height loses its last column or row.

    >>> with Sink(Path("out")) as sink:                        # doctest: +SKIP
    ...     for frame in frames("street.mp4"):
    ...         sink.write(frame, draw(frame.image_bgr, detect(frame.image_bgr), names))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []  # finished files, in the order of their sources
        self._free = FreeNames()
        self._video: _Video | None = None

    def write(self, frame: Frame, image_bgr: np.ndarray) -> Path:
        """Files the annotated picture of a frame: uint8 [H, W, 3], of the frame's size in a video.
        Gives the file that it is, or will be, in.

        Raises RunError when it cannot be written, InputError where `require_own` does.
        """
        continues = frame.video is not None and frame.index > 0
        if not continues:
            self._finish()
        if frame.video is None:
            path = self._new(picture_name(frame.name))
            write_jpeg(path, image_bgr)
            self.written.append(path)
            return path
        if self._video is None:
            path = self._new(video_name(frame.name))
            height, width = image_bgr.shape[:2]
            self._video = _Video(path, width, height, frame.video.fps or _ASSUMED_FPS)
        self._video.write(image_bgr)
        return self._video.path

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

    def _new(self, file_name: str) -> Path:
        path = self.folder / self._free(file_name)
        require_own(path)
        return path


def write_jpeg(path: Path, image_bgr: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as JPEG, whole or not at all."""
    _, content = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    with whole_file(path) as temporary:
        temporary.write_bytes(content.tobytes() + MARK)


def _mark(path: Path) -> None:
    with path.open("ab") as file:
        file.write(MARK)


class _Video:
    """One mp4 in the making, under a temporary name until `close`."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path = path
        self._size = (width, height)
        with ExitStack() as stack:
            temporary = stack.enter_context(whole_file(path))
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            # MPEG-4 has 16 bits for the ticks of a second, of which OpenCV wants 1000 for 66.667.
            rate = fps if fps < 65 else round(fps, 1)
            self._writer = cv2.VideoWriter(opencv_path(temporary), codec, rate, self._size)
            stack.callback(_mark, temporary)
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
