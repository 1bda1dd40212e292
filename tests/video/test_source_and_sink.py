"""What a sink writes, a source reads; the unreadable is a DataError; half a file is no file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolo_slim.detections import Detections
from yolo_slim.errors import DataError, InputError, RunError
from yolo_slim.video.names import MAX_BYTES, FreeNames, file_stem
from yolo_slim.video.records import record_file, require_records
from yolo_slim.video.sink import Sink, write_jpeg
from yolo_slim.video.source import Frame, VideoInfo, find_source, frames, public_address

SHARED = Path(__file__).resolve().parents[3] / "shared"
HEIGHT, WIDTH = 48, 64


def picture(brightness: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), brightness, np.uint8)


def clip(name: str = "clip", n_frames: int = 9) -> list[Frame]:
    info = VideoInfo(WIDTH, HEIGHT, fps=12.5, n_frames=n_frames)
    return [Frame(picture(20 * k), name, k, info) for k in range(n_frames)]


def write_all(folder: Path, *sources: list[Frame]) -> Sink:
    with Sink(folder) as sink:
        for source in sources:
            for frame in source:
                sink.write(frame, frame.image_bgr)
    return sink


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_pictures_goes_round(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write_jpeg(tmp_path / "in" / f"{number}.JPG", picture(60 * number))
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    (tmp_path / "in" / "more.jpg").mkdir()
    seen = list(frames(tmp_path / "in"))
    assert [(frame.name, frame.index, frame.video) for frame in seen] == [
        ("1", 0, None),
        ("2", 1, None),
        ("3", 2, None),
    ]
    sink = write_all(tmp_path / "out", seen)
    assert sink.written == [tmp_path / "out" / f"{number}.jpg" for number in (1, 2, 3)]
    for frame, again in zip(seen, frames(tmp_path / "out"), strict=True):
        assert np.abs(frame.image_bgr.astype(int) - again.image_bgr).max() <= 2


def test_only_what_a_sink_has_written_is_replaced(tmp_path: Path) -> None:
    still = [Frame(picture(9), "street", 0)]
    for _ in range(2):
        write_all(tmp_path, clip("street"), still)
    for name in ("street.jpg", "street.mp4"):
        (tmp_path / name).write_bytes(b"dear")
        with pytest.raises(InputError, match=rf"{name} exists and was not drawn by yolo_slim"):
            write_all(tmp_path, clip("street"), still)
        assert (tmp_path / name).read_bytes() == b"dear"
        (tmp_path / name).write_bytes(b"")


@pytest.mark.parametrize("line", ["dear", '{"some": "thing"}', "[1]", "[" * 99999])
def test_only_records_are_replaced_by_records(line: str, tmp_path: Path) -> None:
    path = tmp_path / "detections.jsonl"
    require_records(path)
    with record_file(path, []) as write:
        write(clip()[0], Detections.empty(), tmp_path / "clip.mp4")
    require_records(path)
    path.write_text(line)
    with pytest.raises(InputError, match="holds no detections: it is kept"):
        require_records(path)


LATIN_1 = os.fsdecode(b"caf\xe9")


def test_a_picture_whose_name_is_not_utf_8_goes_round(tmp_path: Path) -> None:
    write_jpeg(tmp_path / f"{LATIN_1}.jpg", picture(60))
    (seen,) = frames(tmp_path)
    sink = write_all(tmp_path / "out", [seen])
    assert sink.written == [tmp_path / "out" / "caf\ufffd.jpg"]
    with record_file(tmp_path / "detections.jsonl", []) as write:
        write(seen, Detections.empty(), sink.written[0])


def test_a_video_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    write_all(tmp_path, clip())
    (tmp_path / "clip.mp4").rename(tmp_path / f"{LATIN_1}.mp4")
    with pytest.raises(DataError, match="not UTF-8, which OpenCV cannot open: rename it"):
        frames(tmp_path / f"{LATIN_1}.mp4")
    with pytest.raises(DataError, match="not UTF-8"):
        write_all(tmp_path / LATIN_1, clip())


@pytest.mark.parametrize("name", ["鳥" * 81, "a" * 250])
def test_the_longest_names_go_round(name: str, tmp_path: Path) -> None:
    write_jpeg(tmp_path / f"{name}.jpg", picture(60))
    (seen,) = frames(tmp_path)
    moving = [replace(frame, name=seen.name) for frame in clip(n_frames=2)]
    sink = write_all(tmp_path / "out", [seen], [seen], moving)
    assert len(sink.written) == 3
    assert len(file_stem(name).encode()) <= MAX_BYTES and name.startswith(file_stem(name))


def test_a_video_that_does_not_open_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video " * 99)
    broken: list[DataError] = []
    assert list(frames(tmp_path / "text.mp4", pass_over=broken.append)) == []
    assert "text.mp4 gives no video frame" in str(*broken)


def test_a_single_picture_is_read_by_the_reader_given(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(b"anything")
    (frame,) = frames(path, read_image=lambda asked: picture(len(asked.name)))
    assert (frame.name, frame.image_bgr[0, 0, 0]) == ("one", len("one.png"))


def test_a_video_goes_round(tmp_path: Path) -> None:
    sink = write_all(tmp_path, clip())
    assert sink.written == [tmp_path / "clip.mp4"]
    seen = list(frames(str(tmp_path / "clip.mp4")))
    assert [frame.index for frame in seen] == list(range(9))
    assert {(frame.name, frame.video) for frame in seen} == {
        ("clip", VideoInfo(WIDTH, HEIGHT, 12.5, 9))
    }
    for before, after in zip(clip(), seen, strict=True):
        assert after.image_bgr.shape == (HEIGHT, WIDTH, 3)
        assert abs(before.image_bgr.mean() - after.image_bgr.mean()) < 8


@pytest.mark.parametrize("fps", [0.02, 23.976, 66.6667, 119.643, 999.99])
def test_a_rate_that_mpeg_4_cannot_say_is_rounded(fps: float, tmp_path: Path) -> None:
    info = VideoInfo(WIDTH, HEIGHT, fps, n_frames=3)
    write_all(tmp_path, [replace(frame, video=info) for frame in clip(n_frames=3)])
    seen = list(frames(tmp_path / "clip.mp4"))
    assert len(seen) == 3 and seen[0].video.fps == pytest.approx(fps, rel=1e-3)


def test_a_colon_in_the_name_of_a_video_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_all(Path(), clip("2024-01-01T12:00", 3))
    seen = list(frames("2024-01-01T12:00.mp4"))
    assert [frame.name for frame in seen] == ["2024-01-01T12:00"] * 3


def test_a_video_of_odd_size_loses_one_column_and_one_row(tmp_path: Path) -> None:
    odd = [replace(frame, image_bgr=frame.image_bgr[1:, 1:]) for frame in clip(n_frames=3)]
    write_all(tmp_path, odd)
    shapes = [frame.image_bgr.shape for frame in frames(tmp_path / "clip.mp4")]
    assert shapes == [(HEIGHT - 2, WIDTH - 2, 3)] * 3


def test_a_clip_of_the_shared_data_has_all_its_frames() -> None:
    path = SHARED / "video" / "carphone_pristine.mp4"
    if not path.exists():
        absent = f"{path} is not there: the shared data is not beside this checkout"
        pytest.fail(absent) if os.environ.get("CI") == "true" else pytest.skip(absent)
    seen = list(frames(path))
    assert len(seen) == 120 == seen[0].video.n_frames
    assert {frame.image_bgr.shape for frame in seen} == {(144, 176, 3)}
    assert seen[0].video.fps == pytest.approx(29.97, abs=0.01)


def test_sources_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    still = [Frame(picture(9), "street", 0)]
    sink = write_all(tmp_path, clip("street"), still, clip("street", 3), still)
    assert [path.name for path in sink.written] == [
        "street.mp4",
        "street.jpg",
        "street-2.mp4",
        "street-2.jpg",
    ]
    assert names(tmp_path) == sorted(path.name for path in sink.written)
    assert len(list(frames(tmp_path / "street-2.mp4"))) == 3


def test_after_an_error_the_unfinished_video_is_gone_and_the_finished_stay(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Sink(tmp_path) as sink:
        for frame in clip("first") + clip("second")[:4]:
            sink.write(frame, frame.image_bgr)
        raise KeyboardInterrupt
    assert names(tmp_path) == ["first.mp4"]


def test_a_frame_of_another_size_is_an_error_and_no_video(tmp_path: Path) -> None:
    first, second = clip(n_frames=2)
    with pytest.raises(RunError, match=r"clip.mp4: a frame is 32x48, the video 64x48"):
        with Sink(tmp_path) as sink:
            sink.write(first, first.image_bgr)
            sink.write(second, second.image_bgr[:, :32])
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["absent.jpg", "absent", "empty", "text.mp4", "no.jpg/x"])
def test_a_source_that_cannot_be_opened_is_a_data_error(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("this is no video " * 99)
    with pytest.raises(DataError, match=name):
        frames(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_a_broken_picture_is_a_data_error_when_its_turn_comes(tmp_path: Path) -> None:
    write_jpeg(tmp_path / "a.jpg", picture(1))
    (tmp_path / "b.jpg").write_text("no picture")
    source = frames(tmp_path)
    assert next(source).name == "a"
    with pytest.raises(DataError, match=r"b\.jpg cannot be decoded"):
        next(source)


@pytest.mark.parametrize("password", ["secret", "s@secret", "secret@", ""])
def test_a_stream_that_does_not_answer_is_told_without_its_password(password: str) -> None:
    with pytest.raises(DataError, match=r"^http://127\.0\.0\.1:9/li@ve gives no video"):
        frames(f"http://user:{password}@127.0.0.1:9/li@ve")


def test_of_a_stream_no_secret_gets_into_a_name() -> None:
    long = "http://camera/live.m3u8?user=admin&password=secret&signature=" + "0" * 280
    assert public_address(long) == "http://camera/live.m3u8"
    assert find_source(long).names == ("http-camera-live-m3u8",)
    (name,) = find_source("http://camera/" + "0" * 280).names
    assert len(FreeNames()(f"{name}.mp4")) < 255


@pytest.mark.parametrize("number", ["20240115123000", "100", "\u0663"])
def test_a_long_number_is_no_camera(number: str) -> None:
    with pytest.raises(DataError, match=f"^{number} does not exist"):
        frames(number)


def test_only_a_stream_has_a_password() -> None:
    assert public_address("RTSP://camera/a@b") == "RTSP://camera/a@b"
    assert public_address("here//me@home.mp4") == "here//me@home.mp4"


@pytest.mark.parametrize(
    ("told", "fps"),
    [(0.0, None), (-1.0, None), (float("nan"), None), (90000.0, None), (1e-9, None), (30.0, 30.0)],
)
def test_a_number_is_a_camera(
    told: float, fps: float | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Camera:
        def __init__(self, address: int, backend: int) -> None:
            self.address, self.left = address, 2

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return self.left >= 0, picture(7)

        def get(self, key: int) -> float:
            return {cv2.CAP_PROP_FPS: told}.get(key, -1.0)

        def release(self) -> None:
            self.left = 0

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.chdir(tmp_path)
    seen = list(frames("3"))
    assert [(frame.name, frame.index) for frame in seen] == [("camera3", 0), ("camera3", 1)]
    assert seen[0].video == VideoInfo(WIDTH, HEIGHT, fps, n_frames=None)


def test_records_hold_every_detection_of_every_frame(tmp_path: Path) -> None:
    found = Detections(
        np.array([[1.25, 2, 30.111, 40], [0, 0, 5, 5]], "f4"),
        np.array([0.75, 0.5], "f4"),
        np.array([1, 7]),
    )
    path = tmp_path / "detections.jsonl"
    with record_file(path, ["cat", "Äpfel"]) as write:
        for frame, seen in zip(clip(n_frames=2), (found, Detections.empty()), strict=True):
            write(frame, seen, tmp_path / "clip.mp4")
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    frame_size = {"name": "clip", "file": "clip.mp4", "width": WIDTH, "height": HEIGHT}
    assert first == {
        **frame_size,
        "index": 0,
        "detections": [
            {"box_xyxy": [1.25, 2, 30.11, 40], "score": 0.75, "class_id": 1, "class": "Äpfel"},
            {"box_xyxy": [0, 0, 5, 5], "score": 0.5, "class_id": 7, "class": None},
        ],
    }
    assert second == {**frame_size, "index": 1, "detections": []}


def test_records_of_a_failed_run_are_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), record_file(tmp_path / "detections.jsonl", []) as write:
        write(clip()[0], Detections.empty(), tmp_path / "clip.mp4")
        raise RuntimeError
    assert names(tmp_path) == []
