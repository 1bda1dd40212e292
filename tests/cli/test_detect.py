"""`detect` as it is typed: what it tells, what it keeps, when it opens what."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from command_line import status, told

from yolo_slim.bundle import Bundle
from yolo_slim.cli import detect
from yolo_slim.video.source import Frame, VideoInfo
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build

PICTURE = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture
def place(tmp_path, monkeypatch):
    cfg = build("yolov3-nano", 1, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.png", "one/b.png", "two/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, PICTURE)
    return tmp_path


@pytest.mark.parametrize("address", ["rtsp://user:p@ss@camera", "rtsp://user:p@ss@camera/"])
def test_the_password_of_a_stream_is_not_told(address, place, monkeypatch, capsys):
    frame = Frame(np.zeros((64, 64, 3), np.uint8), "camera", 0, VideoInfo(64, 64, 25.0, 100))
    monkeypatch.setattr(detect, "frames", lambda *_: iter([frame]))
    assert status(f"detect model {address} --out seen") == 0
    said = "".join(capsys.readouterr())
    assert "camera ends early: 1 of 100 frames" in " ".join(said.split())
    assert "the only one" in said  # no median of one
    assert "user" not in said and "ss@" not in said


def test_a_record_names_the_file_that_its_picture_is_drawn_in(place):
    assert status("detect model one two --out seen") == 0
    lines = (place / "seen/detections.jsonl").read_text().splitlines()
    found = [(r["name"], r["file"], r["index"]) for r in map(json.loads, lines)]
    assert found == [("a", "a.jpg", 0), ("b", "b.jpg", 1), ("a", "a-2.jpg", 0)]
    assert all((place / "seen" / file).is_file() for _, file, _ in found)


def test_what_it_has_not_drawn_is_kept_and_told_before_the_model_is_opened(
    place, capsys, monkeypatch
):
    for sources in ("one", "two", "one"):  # its own may be replaced
        assert status(f"detect model {sources} --out seen") == 0
    monkeypatch.setattr(detect, "open_session", None)
    (place / "one/detections.jsonl").write_text("dear")
    (place / "two/a.jpg").write_text("dear")
    for folder, fault in (
        ("one", "one/detections.jsonl exists and holds no detections"),
        ("two", "two/a.jpg exists and was not drawn by yolo_slim"),
    ):
        code, error = told(f"detect model two/a.png --out {folder}", capsys)
        assert code == 2 and fault in error
    assert (place / "one/detections.jsonl").read_text() == "dear"
    assert (place / "two/a.jpg").read_text() == "dear"


def test_sources_are_opened_one_after_another(place, monkeypatch):
    seen = []

    def followed(source, *arguments):
        folder = source.files[0].parent

        def stream():
            yield from whole(source, *arguments)
            seen.append(f"{folder} ends")

        seen.append(f"{folder} opens")
        return stream()

    whole = detect.frames
    monkeypatch.setattr(detect, "frames", followed)
    assert status("detect model one two --out seen") == 0
    assert seen == ["one opens", "one ends", "two opens", "two ends"]


def test_what_is_not_there_is_told_before_anything_is_drawn(place, capsys):
    code, error = told("detect model one three --out seen", capsys)
    assert code == 2 and "three does not exist" in error
    assert not (place / "seen").exists()


def test_pictures_of_a_folder_are_counted(place, monkeypatch):
    told_of = []

    @contextmanager
    def progress(text):
        yield lambda done, total: told_of.append((done, total))

    monkeypatch.setattr(detect, "progress", progress)
    assert status("detect model one --out seen") == 0
    assert told_of == [(1, 2), (2, 2)]


def test_a_name_that_is_not_utf_8_is_told(place, capsys):
    name = os.fsdecode(b"caf\xe9")
    (place / "one" / f"{name}.png").write_bytes(b"no picture")
    (place / "two" / "a.png").rename(place / "two" / f"{name}.png")
    assert status("detect model one two --out seen") == 1
    assert "passed over: one/caf\\udce9.png" in capsys.readouterr().out
    assert (place / "seen" / "caf\ufffd.jpg").is_file()


def test_what_a_folder_holds_beside_pictures_is_told(place, capsys):
    (place / "one" / "deeper").mkdir()
    (place / "one" / "clip.mp4").write_bytes(b"a video")
    (place / "one" / ".hidden").write_text("")
    assert status("detect model one --out seen") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "note: one: 2 files and folders that are no pictures are left out" in told
