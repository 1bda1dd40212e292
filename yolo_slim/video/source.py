"""Where pictures come from: a picture, a folder of them, a video file, a camera or a stream."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from yolo_slim.errors import DataError
from yolo_slim.found_files import PICTURE_SUFFIXES, files_in
from yolo_slim.video.names import file_stem, opencv_path

_STILL = PICTURE_SUFFIXES - {".gif"}  # which may move: it is a video
_STREAM = re.compile(r"(rtsp|rtsps|rtmp|http|https|udp|tcp)://", re.IGNORECASE)
_CAMERA = re.compile(r"[0-9]{1,2}")  # OpenCV takes the hundreds of a number for a backend

_LEAST_FPS, _MOST_FPS = 0.01, 1000.0
"""Beyond these it is no rate of pictures: some cameras tell the ticks of their clock, 90000."""

# FFmpeg tells standard error what the DataError is about to say. OpenCV reads this once, when a
# video is first opened or written, so it is set here and not beside the reading.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet

ReadImage = Callable[[Path], np.ndarray]  # path -> uint8 [H, W, 3] in BGR order


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video: fps in frames a second and n_frames are None for many streams.

    n_frames is what the file announces; the frames that can be decoded may be fewer.
    """

    width: int
    height: int
    fps: float | None
    n_frames: int | None


@dataclass(frozen=True)
class Frame:
    """One picture to look at.

    image_bgr: uint8 [H, W, 3].
    name: of a file that may show it, without suffix; the same for all frames of a video.
    index: 0, 1, 2 ... within the source.
    video: the video it belongs to; None for a still picture.
    """

    image_bgr: np.ndarray
    name: str
    index: int
    video: VideoInfo | None = None


@dataclass(frozen=True)
class Source:
    """What is there to be read, before any of it is opened.

    files: the pictures, or the video; none for a camera and a stream.
    names: see `Frame`; one for each picture, one for a video.
    address: what OpenCV opens as a video; None for still pictures.
    n_left_out: what else lies in a folder of pictures: videos, folders, other files.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    address: str | int | None = None
    n_left_out: int = 0


def read_bgr(path: Path) -> np.ndarray:
    """A picture as uint8 [H, W, 3] in BGR order, turned as its EXIF says. Raises DataError."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise DataError(f"{path} cannot be decoded as a picture; expected JPEG, PNG or the like.")
    return image


def find_source(source: str | Path) -> Source:
    """What `frames` would read. Raises DataError where there is nothing."""
    address = str(source)
    if _STREAM.match(address):
        name = re.sub(r"\W+", "-", public_address(address)).strip("-")
        return Source((), (file_stem(name),), address)
    path = Path(source)
    if path.is_dir() or (path.is_file() and is_picture(path)):
        pictures = _pictures_in(path) if path.is_dir() else [path]
        names = tuple(file_stem(picture.stem) for picture in pictures)
        n_left_out = _n_in(path) - len(pictures) if path.is_dir() else 0
        return Source(tuple(pictures), names, n_left_out=n_left_out)
    if path.is_file():
        # Absolute: FFmpeg takes what stands before a colon for a protocol, as in `12:30.mp4`.
        return Source((path,), (file_stem(path.stem),), str(path.absolute()))
    if _CAMERA.fullmatch(address):
        return Source((), (f"camera{address}",), int(address))
    raise DataError(
        f"{address} does not exist. "
        "Pass a picture, a folder, a video file, a camera number or a stream (rtsp://...)."
    )


def public_address(source: str) -> str:
    """A stream without user, password and query, for messages and file names; any other source as
    it is.

    >>> public_address("rtsp://user:p@ss@camera/1?token=abc")
    'rtsp://camera/1'
    """
    scheme = _STREAM.match(source)
    if scheme is None:
        return source
    # A password may hold an @ itself: the last one before the path ends it, as in FFmpeg.
    place = re.sub(r"^[^/]*@", "", source[scheme.end() :])
    return scheme[0] + re.split(r"[?#]", place)[0]


def is_picture(path: Path) -> bool:
    """Whether a file is read as a still picture; every other one as a video."""
    return path.suffix.lower() in _STILL


def frames(
    source: str | Path | Source,
    read_image: ReadImage = read_bgr,
    pass_over: Callable[[DataError], None] | None = None,
) -> Iterator[Frame]:
    """The pictures of a source, one after another.

    source: a picture; a folder, whose pictures come sorted by name (other and hidden files and
        sub-folders are passed over); a video file; a camera number such as "0"; a stream such as rtsp://...;
        or what `find_source` made of one of these.
    read_image: how a still picture is read.
    pass_over: is told of a broken picture, and the next one follows, and of a video that does not
        open; without it the error rises.

    A video is opened at once: a missing source, a folder without pictures and a video without a
    frame raise DataError here, a broken picture when its turn comes.
    """
    found = source if isinstance(source, Source) else find_source(source)
    if found.address is None:
        return _pictures(found, read_image, pass_over)
    try:
        return _video(found.address, found.names[0])
    except DataError as error:
        if pass_over is None:
            raise
        pass_over(error)
        return iter(())


def _pictures_in(folder: Path) -> list[Path]:
    pictures = [path for path in files_in(folder) if is_picture(path)]
    if not pictures:
        raise DataError(
            f"{folder} holds no picture; expected at least one of {' '.join(sorted(_STILL))}. "
            "Videos are named one by one."
        )
    return pictures


def _n_in(folder: Path) -> int:
    """How much lies in a folder, hidden things aside."""
    return sum(not inside.name.startswith(".") for inside in folder.iterdir())


def _pictures(
    found: Source, read_image: ReadImage, pass_over: Callable[[DataError], None] | None
) -> Iterator[Frame]:
    for index, (path, name) in enumerate(zip(found.files, found.names, strict=True)):
        try:
            image = read_image(path)
        except DataError as error:
            if pass_over is None:
                raise
            pass_over(error)
            continue
        yield Frame(image, name, index)


def _video(address: str | int, name: str) -> Iterator[Frame]:
    if isinstance(address, str):
        address = opencv_path(address)
    with _quiet():
        backend = cv2.CAP_ANY if isinstance(address, int) else cv2.CAP_FFMPEG
        capture = cv2.VideoCapture(address, backend)
        decoded, first = capture.read()
    if not decoded:
        capture.release()
        raise DataError(
            f"{public_address(str(address))} gives no video frame. "
            "Expected a video file, camera or stream that OpenCV's FFmpeg can decode."
        )
    height, width = first.shape[:2]  # of the picture itself: the header ignores rotation
    info = VideoInfo(
        width,
        height,
        fps=_rate(_known(capture.get(cv2.CAP_PROP_FPS))),
        n_frames=_whole(_known(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
    )
    return _video_frames(capture, first, name, info)


def _video_frames(
    capture: cv2.VideoCapture, image: np.ndarray, name: str, info: VideoInfo
) -> Iterator[Frame]:
    index, more = 0, True
    try:
        while more:
            yield Frame(image, name, index, info)
            more, image = capture.read()
            index += 1
    finally:
        capture.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps OpenCV from telling standard error what the DataError is about to say."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _known(value: float) -> float | None:
    """OpenCV answers 0, a negative number or NaN for what it does not know."""
    return value if math.isfinite(value) and value > 0 else None


def _rate(fps: float | None) -> float | None:
    return None if fps is None or not _LEAST_FPS <= fps <= _MOST_FPS else fps


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
