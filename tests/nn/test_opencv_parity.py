"""Raw heads against OpenCV's own Darknet importer (4.x)."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from core_zoo import by_night
from detectors import READ_STEMS

from yolo_slim.cfg import Connected, Conv, Local, read_cfg, resize
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.prune.cut import take
from yolo_slim.prune.place import plan_ratio
from yolo_slim.weights import network_of

REAL = [
    "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1",
    "weights/yolo-fastest/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl",
    "weights/mobilenet-yolo/MobileNetV2-YOLOv3-Nano/COCO/MobileNetV2-YOLOv3-Nano-coco",
]
RANDOM = [
    "pjreddie/yolov3-tiny", "AlexeyAB/yolov4-tiny",
    *by_night("pjreddie/yolov3", "pjreddie/yolov3-spp"),
    "pjreddie/yolov2-voc",  # reorg
    "AlexeyAB/yolov7-tiny",  # new_coords
    "AlexeyAB/enet-coco",  # squeeze-and-excitation
    "AlexeyAB/yolov3-tiny-prn",  # shortcuts of unequal width
]  # fmt: skip

# What OpenCV 4.14 does not read, by the section that its message names.
UNKNOWN_TO_OPENCV = {
    "AlexeyAB/Gaussian_yolov3_BDD": "Gaussian_yolo", "AlexeyAB/t1.test": "detection",
    "AlexeyAB/yolo9000": "Yolo9000", "AlexeyAB/yolov4-sam-mish-csp-reorg-bfm": "reorg3d",
    "pjreddie/t1.test": "detection", "pjreddie/yolo9000": "Yolo9000",
    "pjreddie/yolov1-tiny": "detection", "pjreddie/yolov1": "local",
}  # fmt: skip
# What OpenCV reads and computes without a key that Darknet's source obeys: Darknet wins.
OPENCV_IGNORES = {
    "AlexeyAB/resnet152_trident": "share_index", "AlexeyAB/tiny-yolo_xnor": "xnor",
    "AlexeyAB/yolov3-tiny_xnor": "xnor",
}  # fmt: skip


def with_opencv_epsilon(cfg):
    return replace(cfg, net=replace(cfg.net, bn_eps=1e-6))


def with_logits(cfg):
    """Heads without their sigmoid: random logits of 100 say more of a map than 0 and 1."""
    sections = tuple(
        replace(s, activation="linear") if i in cfg.head_convs and isinstance(s, Conv) else s
        for i, s in enumerate(cfg)
    )
    return replace(cfg, sections=sections)


def assert_parity(cfg, weights, cfg_path, weights_path):
    image = torch.rand(1, 3, *cfg.input_hw, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = network_of(with_logits(cfg), weights)(image)
    net = cv2.dnn.readNetFromDarknet(str(cfg_path), str(weights_path))
    net.setInput(image.numpy())
    # An activation is a layer of its own there: conv_N is what comes before it.
    theirs = net.forward([f"conv_{i - 1}" for i in cfg.head_indices])
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
    assert_parity(
        cfg, bundle.weights, *write_darknet_pair(bundle, tmp_path / "net", reader="opencv")
    )


def test_a_pruned_bundle_as_a_darknet_pair(shared_root, random_bundle, tmp_path):
    cfg = with_opencv_epsilon(read_cfg(shared_root / "cfg/pjreddie/yolov3-tiny.cfg"))
    bundle = random_bundle(resize(cfg, 96, 96), dtype=torch.float32)
    pruned = take(bundle, plan_ratio(bundle, 0.4))
    assert_parity(
        pruned.cfg, pruned.weights, *write_darknet_pair(pruned, tmp_path / "net", reader="opencv")
    )


def written_pair(stem, shared_root, random_bundle, folder):
    cfg = with_opencv_epsilon(read_cfg(shared_root / "cfg" / f"{stem}.cfg"))
    if not any(isinstance(section, Connected | Local) for section in cfg):
        # 5 heads need a map of 8 cells at stride 128
        cfg = resize(cfg, *((512, 512) if len(cfg.heads) > 3 else (96, 96)))
    bundle = random_bundle(cfg, dtype=torch.float32)
    return bundle, *write_darknet_pair(bundle, folder / "net", reader="opencv")


@pytest.mark.slow
@pytest.mark.parametrize("stem", [s for s in READ_STEMS if s not in UNKNOWN_TO_OPENCV])
def test_every_cfg_that_opencv_reads(stem, shared_root, random_bundle, tmp_path):
    bundle, *pair = written_pair(stem, shared_root, random_bundle, tmp_path)
    if stem not in OPENCV_IGNORES:
        assert_parity(bundle.cfg, bundle.weights, *pair)
        return
    key = OPENCV_IGNORES[stem]
    assert key in (tmp_path / "net.cfg").read_text()
    with pytest.raises((AssertionError, cv2.error)):
        assert_parity(bundle.cfg, bundle.weights, *pair)


@pytest.mark.parametrize("stem", UNKNOWN_TO_OPENCV)
def test_what_opencv_does_not_read(stem, shared_root):
    with pytest.raises(cv2.error, match=UNKNOWN_TO_OPENCV[stem]):
        net = cv2.dnn.readNetFromDarknet(str(shared_root / "cfg" / f"{stem}.cfg"))
        net.setInput(np.zeros((1, 3, 64, 64), np.float32))
        net.forward()
