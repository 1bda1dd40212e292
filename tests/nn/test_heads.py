"""Boxes and scores of every kind of head, by hand and against Darknet's loops; suppression."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from yolo_slim.cfg import Detection, GaussianYolo, Region, Yolo, parse
from yolo_slim.errors import InputError
from yolo_slim.nn.decode import decode, decode_all
from yolo_slim.nn.suppress import distance_iou, suppress

RNG = np.random.default_rng(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_region_is_get_region_boxes():
    head = Region(anchors_wh=((1.5, 2.0), (0.5, 3.0)), classes=3, softmax=True)
    raw = RNG.normal(size=(1, 16, 2, 4))
    boxes, scores = decode(torch.from_numpy(raw), head, (64, 128))
    place = 0
    for n, (w, h) in enumerate(head.anchors_wh):
        for row in range(2):
            for column in range(4):
                tx, ty, tw, th, to, *classes = raw[0, n * 8 : n * 8 + 8, row, column]
                x, y = (column + sigmoid(tx)) / 4 * 128, (row + sigmoid(ty)) / 2 * 64
                bw, bh = np.exp(tw) * w / 4 * 128, np.exp(th) * h / 2 * 64
                expected = [x - bw / 2, y - bh / 2, x + bw / 2, y + bh / 2]
                assert boxes[0, place].tolist() == pytest.approx(expected, rel=1e-5)
                exps = np.exp(classes)
                assert scores[0, place].tolist() == pytest.approx(
                    list(sigmoid(to) * exps / exps.sum()), rel=1e-5
                )
                place += 1


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
def test_detection_is_get_detection_boxes(sqrt, softmax):
    side, num, classes = 3, 2, 4
    head = Detection(side=side, num=num, classes=classes, sqrt=sqrt, softmax=softmax)
    raw = RNG.uniform(size=head.head_filters)
    boxes, scores = decode(torch.from_numpy(raw).view(1, -1, 1, 1), head, (60, 90))
    found = {
        tuple(round(v, 2) for v in box): [round(s, 4) for s in score]
        for box, score in zip(boxes[0].tolist(), scores[0].tolist(), strict=True)
    }
    for i in range(side**2):
        row, column = divmod(i, side)
        probabilities = raw[i * classes : (i + 1) * classes]
        if softmax:
            probabilities = np.exp(probabilities) / np.exp(probabilities).sum()
        for n in range(num):
            scale = raw[side**2 * classes + i * num + n]
            x, y, w, h = raw[side**2 * (classes + num) + (i * num + n) * 4 :][:4]
            x, y = (x + column) / side * 90, (y + row) / side * 60
            w, h = (w**2 * 90, h**2 * 60) if sqrt else (w * 90, h * 60)
            box = tuple(round(float(v), 2) for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
            near = min(found, key=lambda b: sum(abs(p - q) for p, q in zip(b, box, strict=True)))
            assert near == pytest.approx(box, abs=0.02)
            assert found[near] == pytest.approx(list(scale * probabilities), abs=2e-4)


def test_linear_outputs_of_detection_count_as_scores_from_0_to_1():
    head = Detection(side=1, num=1, classes=4)
    raw = torch.tensor([1.5, 0.5, -0.5, 0.25, 1.2, 0, 0, 1, 1])  # classes, objectness, box
    scores = decode(raw.view(1, -1, 1, 1), head, (32, 32))[1]
    torch.testing.assert_close(scores[0, 0], torch.tensor([1, 0.6, 0, 0.3]))


@pytest.mark.parametrize("sqrt", [False, True])
def test_no_box_of_detection_has_a_negative_size(sqrt):
    head = Detection(side=1, num=1, classes=1, sqrt=sqrt)
    raw = torch.tensor([1, 1, 0.5, 0.5, -0.5, 0.25])  # class, objectness, box
    boxes = decode(raw.view(1, -1, 1, 1), head, (32, 32))[0]
    x1, y1, x2, y2 = boxes[0, 0].tolist()
    assert (x2 - x1, y2 - y1) == ((8, 2) if sqrt else (0, 8))


def test_gaussian_yolo_lowers_scores_by_uncertainty():
    head = GaussianYolo(mask=(1,), anchors_wh=((3, 4), (10, 20)), classes=2, scale_x_y=1.1)
    raw = RNG.normal(size=(1, 11, 1, 2))
    boxes, scores = decode(torch.from_numpy(raw), head, (32, 64))
    plain = Yolo(mask=(1,), anchors_wh=((3, 4), (10, 20)), classes=2, scale_x_y=1.1)
    without = raw[:, [0, 2, 4, 6, 8, 9, 10]]
    plain_boxes, plain_scores = decode(torch.from_numpy(without), plain, (32, 64))
    torch.testing.assert_close(boxes, plain_boxes)
    certainty = 1 - sigmoid(raw[0, [1, 3, 5, 7], 0, :]).mean(axis=0)
    np.testing.assert_allclose(scores[0], plain_scores[0] * certainty[:, None], rtol=1e-5)


def test_a_class_hierarchy_runs_and_gives_no_boxes():
    cfg = parse(
        "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=14\nsize=1\n"
        "[region]\nanchors=1,1, 2,2\nclasses=2\nnum=2\ntree=9k.tree\n"
    )
    with pytest.raises(InputError, match=r"tree=9k\.tree"):
        decode_all([torch.zeros(1, 14, 32, 32)], cfg)


def test_a_classifier_finds_no_boxes():
    cfg = parse("[net]\n[convolutional]\nfilters=2\n")
    with pytest.raises(InputError, match="no detection head"):
        decode_all([torch.zeros(1, 2, 1, 1)], cfg)


# --- suppression ----------------------------------------------------------------------------------


def darknet_diounms(boxes, scores, threshold, beta):
    """diounms_sort of AlexeyAB's box.c for one class, loop by loop: indices that stay."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    gone = set()
    for place, i in enumerate(order):
        if i in gone:
            continue
        for j in order[place + 1 :]:
            (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = boxes[i], boxes[j]
            w = min(ax2, bx2) - max(ax1, bx1)
            h = min(ay2, by2) - max(ay1, by1)
            inner = w * h if w > 0 and h > 0 else 0
            union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inner
            c = (max(ax2, bx2) - min(ax1, bx1)) ** 2 + (max(ay2, by2) - min(ay1, by1)) ** 2
            d = ((ax1 + ax2 - bx1 - bx2) / 2) ** 2 + ((ay1 + ay2 - by1 - by2) / 2) ** 2
            if inner / union - math.pow(d / c, beta) > threshold:
                gone.add(j)
    return [i for i in order if i not in gone]


@pytest.mark.parametrize("beta", [0.6, 0.2, 2.0])
def test_diounms_is_darknet_s(beta):
    corners = RNG.uniform(0, 40, size=(60, 2))
    boxes = np.concatenate([corners, corners + RNG.uniform(10, 40, size=(60, 2))], axis=1)
    scores = RNG.uniform(0.1, 1, size=60)
    expected = darknet_diounms(boxes.tolist(), scores.tolist(), 0.3, beta)
    found, best, _ = suppress(
        torch.from_numpy(boxes), torch.from_numpy(scores)[:, None], 0.05, 0.3, 100, "diounms", beta
    )
    assert 1 < len(expected) < 60
    np.testing.assert_array_equal(found.numpy(), boxes[expected])
    np.testing.assert_array_equal(best.numpy(), scores[expected])


def test_diounms_spares_what_lies_apart_and_other_classes():
    boxes = torch.tensor([[0, 0, 10, 10], [4, 0, 14, 10], [0, 0, 10, 10.0]])
    scores = torch.tensor([[0.9, 0], [0.8, 0], [0, 0.7]])
    iou = distance_iou(boxes[0], boxes, 0.6)
    assert iou[0] == 1
    assert iou[1] == pytest.approx(60 / 140 - (16 / (14**2 + 10**2)) ** 0.6)
    assert len(suppress(boxes, scores, 0.1, 0.4, 10, "greedynms")[0]) == 2
    assert len(suppress(boxes, scores, 0.1, 0.4, 10, "diounms")[0]) == 3
    assert len(suppress(boxes, scores, 0.1, 0.4, 1, "diounms")[0]) == 1
    assert len(suppress(boxes, scores, 0.95, 0.4, 10, "diounms")[0]) == 0
