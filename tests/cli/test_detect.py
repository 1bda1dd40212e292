"""`detect` as it is typed: what it tells of a stream."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import status

from yolo_slim.bundle import Bundle
from yolo_slim.video.source import Frame, VideoInfo
from yolo_slim.weights import random_weights
from yolo_slim.zoo import build


@pytest.mark.parametrize("address", ["rtsp://user:p@ss@camera", "rtsp://user:p@ss@camera/"])
def test_the_password_of_a_stream_is_not_told(address, tmp_path, monkeypatch, capsys):
    cfg = build("yolov3-nano", 1, 64)
    Bundle(cfg, random_weights(cfg)).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    frame = Frame(np.zeros((64, 64, 3), np.uint8), "camera", 0, VideoInfo(64, 64, 25.0, 100))
    monkeypatch.setattr("yolo_slim.cli.detect.frames", lambda *_: iter([frame]))
    assert status(f"detect model {address} --out seen") == 0
    said = "".join(capsys.readouterr())
    assert "camera ends early: 1 of 100 frames" in " ".join(said.split())
    assert "the only one" in said  # no median of one
    assert "user" not in said and "ss@" not in said
