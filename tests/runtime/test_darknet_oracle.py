"""Boxes of pjreddie's own program and ours, from pairs that this package wrote."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from darknet_program import DARKNET, darknet_valid
from torchvision.ops import box_iou

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Connected, Detection, read_cfg, resize
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.geometry import clip, letterbox, render, to_blob
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.runtime.detector import Detector
from yolo_slim.runtime.session import TorchSession
from yolo_slim.weights import network_of

# The side at which the program, on one core, is done in seconds. yolo9000 needs a file that is not
# there, yolov3-openimages is yolov3 with 601 classes, yolov1 has 1 GB of weights.
FAMILY = {
    "pjreddie/yolov3-tiny": 224, "pjreddie/yolov3": 96, "pjreddie/yolov3-spp": 96,
    "pjreddie/yolov3-voc": 96, "pjreddie/yolov2-tiny": 160, "pjreddie/yolov2-tiny-voc": 160,
    "pjreddie/yolov2": 128, "pjreddie/yolov2-voc": 128, "pjreddie/yolov1-tiny": 448,
    "pjreddie/t1.test": 224,
}  # fmt: skip
SURE = 0.02
SPREAD = {"yolo": 1.0, "region": 1.5, "detection": 0.1}

needs_darknet = pytest.mark.skipif(DARKNET is None, reason="Debian's darknet is not installed")


@pytest.fixture
def pictures(shared_root, tmp_path):
    """The demo pictures, letterboxed to a side: what is left to compare is the network."""

    def write(side: int) -> list:
        paths = []
        for source in sorted((shared_root / "cfg/images_demo").glob("*.jpg")):
            image = cv2.imread(str(source))
            boxed = render(image, letterbox(image.shape[:2], (side, side)), (side, side))
            paths.append(tmp_path / f"{source.stem}.png")
            cv2.imwrite(str(paths[-1]), boxed)
        assert len(paths) == 6
        return paths

    return write


def lively(cfg, random_bundle, paths):
    """Random weights with heads that find some things and not all: maps of one spread, shifted."""
    bundle = random_bundle(cfg, dtype=torch.float32)
    weights = dict(bundle.weights)
    images = torch.from_numpy(np.stack([to_blob(cv2.imread(str(p))) for p in paths]))
    with torch.no_grad():
        raws = network_of(cfg, weights)(images)
    for index, raw in zip(cfg.head_indices, raws, strict=True):
        head, before = cfg[index], cfg[index - 1]
        key = f"{index - 1}.{'connected' if isinstance(before, Connected) else 'conv'}"
        weights[f"{key}.weight"] = weights[f"{key}.weight"] / raw.std() * SPREAD[head.kind]
        bias = weights[f"{key}.bias"]
        if isinstance(head, Detection):  # values are taken as they are
            bias += 0.4
            continue
        bias = bias.view(-1, 5 + head.classes)
        bias[:, 4], bias[:, 5:] = (-1, 0) if head.kind == "region" else (-4, -2)
    return replace(bundle, weights=weights)


def agree(theirs, ours, hw):
    """Both ways: whatever one is sure of, the other has, of the same class and place.

    Returns how many boxes were looked for and how many were missed: of two boxes that overlap by
    0.45, or score alike, one program may keep the one and the other the other.
    """
    boxes = clip(ours.boxes_xyxy, (hw[0] - 1, hw[1] - 1))  # as far as a count from 1 reaches
    n_sure = n_missed = 0
    for a_boxes, a, b_boxes, b in ((theirs.boxes_xyxy, theirs, boxes, ours),
                                   (boxes, ours, theirs.boxes_xyxy, theirs)):  # fmt: skip
        for box, score, class_id in zip(a_boxes, a.scores, a.class_ids, strict=True):
            if score < SURE or (box[2:] - box[:2]).min() < 1:
                continue
            n_sure += 1
            same = b.class_ids == class_id
            iou = box_iou(torch.tensor(box[None]), torch.tensor(b_boxes[same]))[0].numpy()
            n_missed += not (np.abs(b.scores[same] - score)[iou >= 0.99] <= 0.01).any()
    return np.array([n_sure, n_missed])


def detections(cfg, bundle, paths):
    detector = Detector(TorchSession(bundle, 2), 0.005, 0.45, 100_000, "letterbox")
    return {p.stem: detector([cv2.imread(str(p))])[0] for p in paths}


@needs_darknet
@pytest.mark.slow
@pytest.mark.parametrize("stem", FAMILY)
def test_random_pairs_that_we_wrote(stem, shared_root, random_bundle, pictures, tmp_path):
    side = FAMILY[stem]
    cfg = read_cfg(shared_root / f"cfg/{stem}.cfg")
    if not any(isinstance(s, Connected) for s in cfg):
        cfg = resize(cfg, side, side)
    paths = pictures(side)
    bundle = lively(cfg, random_bundle, paths)
    pair = write_darknet_pair(bundle, tmp_path / "net")
    theirs = darknet_valid(*pair, paths, cfg.n_classes, tmp_path)
    ours = detections(cfg, bundle, paths)
    n_sure, n_missed = sum(agree(theirs[p.stem], ours[p.stem], (side, side)) for p in paths)
    assert n_sure > 20
    assert n_missed <= 0.01 * n_sure


@needs_darknet
@pytest.mark.parametrize("name", ["yolo-fastest-1.1", "yolo-fastest-1.1-xl"])
def test_real_weights(name, shared_root, pictures, tmp_path):
    stem = shared_root / f"weights/yolo-fastest/yolo-fastest-1.1_coco/{name}"
    pair = stem.with_name(f"{name}.cfg"), stem.with_name(f"{name}.weights")
    cfg = read_cfg(pair[0])
    weights, _ = read_darknet_weights(pair[1], cfg)
    paths = pictures(320)
    theirs = darknet_valid(*pair, paths, 80, tmp_path)
    ours = detections(cfg, Bundle(cfg, weights), paths)
    n_sure, n_missed = sum(agree(theirs[p.stem], ours[p.stem], (320, 320)) for p in paths)
    assert n_sure > 100
    assert n_missed == 0
