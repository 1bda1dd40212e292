"""The programs in docs/export.md run as they stand there, and find what this package finds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from head_zoo import head_cfg

from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.metadata import to_metadata
from yolo_slim.nn.suppress import Suppression
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "export.md").read_text()
WHOLE, BOXES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SUPPRESSED = '(rows,) = session.run(["detections"], {"images": images})\n'


@pytest.mark.parametrize("answer", ["detections", "boxes"])
@pytest.mark.parametrize("letter_box", [False, True])
def test_a_program_that_knows_nothing_else(
    answer, letter_box, random_bundle, tmp_path, monkeypatch, capsys
):
    cfg = head_cfg("yolo")
    net = replace(cfg.net, letter_box=letter_box, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    bundle = random_bundle(replace(cfg, net=net), dtype=torch.float32)
    bundle = replace(bundle, class_names=("cat", "dog", "cow"))
    rules = Suppression(0.25, 0.45, 1000)
    export_onnx(bundle, tmp_path / "model.onnx", answer=answer, suppression=rules)
    image = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "picture.jpg"), image)
    monkeypatch.chdir(tmp_path)
    program = WHOLE
    if answer == "boxes":
        assert SUPPRESSED in program
        program = program.replace(SUPPRESSED, BOXES)
    exec(compile(program, "docs/export.md", "exec"), {})

    detector = Detector(OnnxSession(tmp_path / "model.onnx", 1), 0.25, 0.45, 1000)
    (found,) = detector([cv2.imread("picture.jpg")])
    lines = capsys.readouterr().out.splitlines()
    assert len(found) > 5
    expected = [
        f"{bundle.class_names[k]} {score:.2f} at {x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f}"
        for (x1, y1, x2, y2), score, k in zip(
            found.boxes_xyxy, found.scores, found.class_ids, strict=True
        )
    ]
    # What is rounded for printing may fall to either side; the order of OpenCV is its own.
    assert len(lines) == len(expected)
    assert len(set(lines) & set(expected)) >= 0.9 * len(expected)


def test_the_page_has_every_key(random_bundle):
    keys = to_metadata(random_bundle(head_cfg("yolo")), "detections", Suppression())
    told = set(re.findall(r"^\| `(yolo_slim\.\w+)` \|", PAGE, re.MULTILINE))
    assert told == {*keys, "yolo_slim.commit"}  # which is of a checkout alone
