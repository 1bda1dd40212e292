"""A file of raw maps, one of boxes and one of detections find the same."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
import torch
from head_zoo import TEXTS, head_cfg

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import read_cfg
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.nn.suppress import Suppression
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import OnnxSession

ANSWERS = ("raw", "boxes", "detections")


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((50, 70), (64, 32), (9, 80))]


def sure(bundle, folder, share) -> float:
    """A score that `share` of the (box, class) pairs of the pictures do not reach."""
    export_onnx(bundle, folder / "scores.onnx", None, True, "boxes")
    every = Detector(OnnxSession(folder / "scores.onnx", 1), 0.0, 1.0, 100_000)
    return float(np.quantile(np.concatenate([found.scores for found in every(pictures())]), share))


def detectors(bundle, folder, rules, dynamic=False, **options):
    for answer in ANSWERS:
        path = folder / f"{answer}.onnx"
        export_onnx(bundle, path, None, dynamic, answer, rules if answer == "detections" else None)
        session = OnnxSession(path, 1)
        assert session.answer == answer
        yield Detector(session, rules.conf, rules.nms_iou, rules.max_detections, **options)


def assert_same(ours, theirs, px=1e-3):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.class_ids, b.class_ids)
        np.testing.assert_allclose(a.scores, b.scores, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, rtol=1e-4, atol=px)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", [name for name in TEXTS if "detection" not in name])
def test_three_files_find_the_same(name, dynamic, random_bundle, tmp_path):
    bundle = random_bundle(head_cfg(name), dtype=torch.float32)
    rules = Suppression(sure(bundle, tmp_path, 0.7), 0.4, 40)
    raw, boxes, detections = (
        detector(pictures()) for detector in detectors(bundle, tmp_path, rules, dynamic)
    )
    assert all(len(found) > 5 for found in raw)
    assert_same(raw, boxes)
    assert_same(raw, detections)


def test_of_detections_what_is_less_sure_may_still_go(random_bundle, tmp_path):
    bundle = random_bundle(head_cfg("yolo"), dtype=torch.float32)
    rules = Suppression(sure(bundle, tmp_path, 0.5), 0.4, 40)
    higher = sure(bundle, tmp_path, 0.7)
    *_, detector = detectors(bundle, tmp_path, rules, resize_mode="letterbox")
    all_of_them = detector(pictures())
    fewer = Detector(detector.session, higher, 0.9, 12, "letterbox")(pictures())
    for every, few in zip(all_of_them, fewer, strict=True):
        kept = every[every.scores > higher][:12]
        assert 0 < len(kept) < len(every)
        assert_same([kept], [few], px=0)


def test_rows_may_come_in_any_order(random_bundle, tmp_path):
    """An engine other than ONNX Runtime may give them so."""
    bundle = random_bundle(head_cfg("yolo"), dtype=torch.float32)
    *_, detector = detectors(bundle, tmp_path, Suppression(0.2, 0.4, 40), dynamic=True)
    expected = detector(pictures())
    run = detector.session.run
    detector.session.run = lambda images: [rows[::-1].copy() for rows in run(images)]
    assert_same(expected, detector(pictures()), px=0)


def test_outputs_that_the_metadata_do_not_promise_are_refused(random_bundle, tmp_path):
    bundle = random_bundle(head_cfg("yolo"), dtype=torch.float32)
    model = export_onnx(bundle, tmp_path / "a.onnx")
    for entry in model.metadata_props:
        if entry.key == "yolo_slim.answer":
            entry.value = "boxes"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match="gives head_0, head_1; its metadata promise boxes"):
        OnnxSession(tmp_path / "a.onnx", 1)


@pytest.mark.slow
@pytest.mark.parametrize("conf", [0.005, 0.25])
def test_real_weights(conf, shared_root, tmp_path):
    images = [cv2.imread(str(p)) for p in sorted(shared_root.glob("cfg/images_demo/*.jpg"))]
    rules = Suppression(conf, 0.45, 300)
    paths = sorted((shared_root / "weights").rglob("*.weights"))
    assert len(paths) == 12
    n_found = 0
    for path in paths:
        cfg = read_cfg(path.with_suffix(".cfg"))
        bundle = Bundle(cfg, read_darknet_weights(path, cfg)[0])
        raw, boxes, detections = (d(images) for d in detectors(bundle, tmp_path, rules))
        n_found += sum(map(len, raw))
        assert_same(raw, boxes, px=0.02)
        assert_same(raw, detections, px=0.02)
    assert n_found > 100
