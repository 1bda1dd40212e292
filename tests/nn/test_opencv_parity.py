"""Raw heads against OpenCV's own Darknet importer (4.x)."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from yolo_slim.cfg import read_cfg, resize
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.prune.cut import take
from yolo_slim.prune.plan import plan_ratio
from yolo_slim.weights import network_of

REAL = [
    "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1",
    "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "weights/mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
]
RANDOM = ["pjreddie/yolov3-tiny", "pjreddie/yolov3", "pjreddie/yolov3-spp", "AlexeyAB/yolov4-tiny"]


def with_opencv_epsilon(cfg):
    return replace(cfg, net=replace(cfg.net, bn_eps=1e-6))


def assert_parity(cfg, weights, cfg_path, weights_path):
    image = torch.rand(1, 3, *cfg.input_hw, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = network_of(cfg, weights)(image)
    net = cv2.dnn.readNetFromDarknet(str(cfg_path), str(weights_path))
    net.setInput(image.numpy())
    theirs = net.forward([f"conv_{i - 1}" for i in cfg.yolo_indices])
    for a, b in zip(ours, theirs, strict=True):
        assert np.std(b) > 1e-3
        assert np.abs(a.numpy() - b).max() <= 1e-4 * max(1.0, np.abs(b).max())


@pytest.mark.parametrize("stem", REAL)
def test_real_weights(stem, shared_root):
    cfg_path, path = shared_root / f"{stem}.cfg", shared_root / f"{stem}.weights"
    cfg = with_opencv_epsilon(read_cfg(cfg_path))
    assert_parity(cfg, read_darknet_weights(path, cfg)[0], cfg_path, path)


@pytest.mark.parametrize("stem", RANDOM)
def test_random_weights_that_we_wrote(stem, shared_root, random_bundle, tmp_path):
    cfg = resize(with_opencv_epsilon(read_cfg(shared_root / "cfg" / f"{stem}.cfg")), 96, 96)
    bundle = random_bundle(cfg, dtype=torch.float32)
    assert_parity(cfg, bundle.weights, *write_darknet_pair(bundle, tmp_path / "net"))


def test_a_pruned_bundle_as_a_darknet_pair(shared_root, random_bundle, tmp_path):
    cfg = with_opencv_epsilon(read_cfg(shared_root / "cfg/pjreddie/yolov3-tiny.cfg"))
    bundle = random_bundle(resize(cfg, 96, 96), dtype=torch.float32)
    pruned = take(bundle, plan_ratio(bundle, 0.4))
    assert_parity(pruned.cfg, pruned.weights, *write_darknet_pair(pruned, tmp_path / "net"))
