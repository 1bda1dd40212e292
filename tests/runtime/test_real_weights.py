"""Every public .weights file loads to the last float, runs, and finds what a picture shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolo_slim.bundle import Bundle, read_names
from yolo_slim.cfg import read_cfg, totals
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import TorchSession

YF, MB = "weights/yolo-fastest", "weights/mobilenet-yolo"
# File -> its class names, and what it must find: picture -> classes, each with a score of 0.3.
MODELS = {
    f"{YF}/yolo-fastest-1.0_coco/yolo-fastest": ("names/coco.names", {
        "dog": {"dog", "car", "bicycle"}, "eagle": {"bird"}, "person": {"person", "dog"}}),
    f"{YF}/yolo-fastest-1.0_coco/yolo-fastest-xl": ("names/coco.names", {
        "dog": {"dog", "car", "bicycle"}, "horses": {"horse"}, "giraffe": {"giraffe", "zebra"}}),
    f"{YF}/yolo-fastest-1.1_coco/yolo-fastest-1.1": ("names/coco.names", {
        "dog": {"dog", "car", "bicycle"}, "horses": {"horse"}, "giraffe": {"giraffe", "zebra"}}),
    f"{YF}/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl": ("names/coco.names", {
        "dog": {"dog", "car", "bicycle"}, "horses": {"horse"}, "person": {"person", "dog"}}),
    f"{YF}/yolo-fastest-1.1_body/yolo-fastest-1.1_body": (None, {"person": {"class 0"}}),
    f"{MB}/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco": ("names/coco.names", {
        "dog": {"dog", "car", "bicycle"}, "giraffe": {"giraffe"}, "person": {"person", "horse"}}),
    f"{MB}/MobileNetV2-YOLOv3-Nano/VOC/MobileNetV2-YOLOv3-Nano-voc": ("names/voc.names", {
        "dog": {"dog", "car"}, "eagle": {"bird"}, "person": {"person", "horse", "dog"}}),
    f"{MB}/MobileNetV2-YOLO-Fastest/v1/MobileNetV2-YOLO-Fastest-voc": ("names/voc.names", {
        "dog": {"dog", "bicycle"}, "eagle": {"bird"}, "person": {"person", "horse", "dog"}}),
    f"{MB}/MobileNetV2-YOLO-Fastest/v2/MobileNetV2-YOLO-Fastest-voc-v2": ("names/voc.names", {
        "dog": {"dog", "bicycle"}, "eagle": {"bird"}, "horses": {"horse"}}),
    f"{MB}/yoloface-500k/v1/yoloface-500k": (None, {"scream": {"class 0"}}),
    f"{MB}/yoloface-500k/v2/yoloface-500k-v2": (None, {"scream": {"class 0"}}),
    f"{MB}/yoloface-50k/yoloface-50k": (None, {}),  # 56 px: see below
}  # fmt: skip


def load(stem, shared_root):
    cfg = read_cfg(shared_root / f"{stem}.cfg")
    weights, _ = read_darknet_weights(shared_root / f"{stem}.weights", cfg)
    return Bundle(cfg, weights)


def test_the_table_is_complete(shared_root):
    files = {str(p.relative_to(shared_root).with_suffix("")) for p in
             (shared_root / "weights").rglob("*.weights")}  # fmt: skip
    assert files == set(MODELS)


@pytest.mark.parametrize("stem", MODELS)
def test_a_model_finds_what_the_picture_shows(stem, shared_root):
    names_path, expected = MODELS[stem]
    bundle = load(stem, shared_root)
    floats = totals(bundle.cfg).weights_file_floats
    assert (shared_root / f"{stem}.weights").stat().st_size == 20 + 4 * floats
    names = read_names(shared_root / names_path) if names_path else bundle.names
    detector = Detector(TorchSession(bundle, 2), conf=0.3)
    for picture, classes in expected.items():
        image = cv2.imread(str(shared_root / f"cfg/images_demo/{picture}.jpg"))
        (found,) = detector([image])
        assert classes <= {names[k] for k in found.class_ids}, picture


def test_the_56_px_face_model_tells_a_face_from_a_flat_wall(shared_root):
    """It reads crops: the face that the larger model finds in the painting, and its background."""
    image = cv2.imread(str(shared_root / "cfg/images_demo/scream.jpg"))
    larger = Detector(
        TorchSession(load(f"{MB}/yoloface-500k/v1/yoloface-500k", shared_root), 2), 0.3
    )
    (found,) = larger([image])
    x1, y1, x2, y2 = found.boxes_xyxy[0]
    margin = 0.5 * max(x2 - x1, y2 - y1)
    top, left = max(0, int(y1 - margin)), max(0, int(x1 - margin))
    face = image[top : int(y2 + margin), left : int(x2 + margin)]
    wall = np.full_like(face, face.mean(axis=(0, 1)).astype(np.uint8))
    small = Detector(TorchSession(load(f"{MB}/yoloface-50k/yoloface-50k", shared_root), 2), 0.01)
    (in_face,), (in_wall,) = small([face]), small([wall])
    best = max([0.0, *in_wall.scores])
    assert max([0.0, *in_face.scores]) > best + 0.1
