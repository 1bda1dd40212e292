"""Box losses: nothing for the right box, Darknet's gradient, the order of the overlaps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from yolo_slim.cfg import Cfg, Yolo
from yolo_slim.errors import InputError
from yolo_slim.nn.decode import decode_boxes
from yolo_slim.nn.overlap import paired_iou
from yolo_slim.train.box_loss import WEIGHTS, box_loss
from yolo_slim.train.loss import LossSettings, class_targets, detection_loss
from yolo_slim.train.targets import HeadTargets, assign
from yolo_slim.zoo import build

GRID = (4, 4)  # 16 px a cell at 64 px


def cfg_with(**changes) -> Cfg:
    cfg = build("yolov3-tiny", 3, 64)
    sections = tuple(replace(s, **changes) if isinstance(s, Yolo) else s for s in cfg)
    return replace(cfg, sections=sections)


def one_target(x: float, y: float, w: float, h: float, anchor: int = 1) -> HeadTargets:
    box = torch.tensor([[x - w / 2, y - h / 2, x + w / 2, y + h / 2]], dtype=torch.float64)
    cell = [torch.tensor([int(v // 16)]) for v in (y, x)]
    zero = torch.tensor([0])
    return HeadTargets(zero, torch.tensor([anchor]), *cell, box, zero)


def raw_of(t: list[float]) -> torch.Tensor:
    """A map [1, 3, 4, 4, 8] that says t_x, t_y, t_w, t_h everywhere."""
    return torch.tensor([*t, 0, 0, 0, 0], dtype=torch.float64).expand(1, 3, *GRID, 8).clone()


def loss_of(kind, raw: torch.Tensor, head: HeadTargets, cfg: Cfg) -> torch.Tensor:
    yolo = cfg.yolos[1]
    where = (head.image, head.anchor, head.row, head.column)
    found = decode_boxes(raw, yolo, cfg.input_hw)[where]
    return box_loss(kind, raw[where], found, head, yolo, cfg, GRID)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("scale_x_y", [1.0, 1.1, 2.0])
def test_the_right_box_costs_least(kind, scale_x_y):
    cfg = cfg_with(scale_x_y=scale_x_y)
    head = one_target(20, 41, 24, 30)
    offsets = [(20 / 16 - 1), (41 / 16 - 2)]
    right = [logit((o + (scale_x_y - 1) / 2) / scale_x_y) for o in offsets]
    right += [math.log(24 / 23), math.log(30 / 27)]
    raw = raw_of(right).requires_grad_()
    loss = loss_of(kind, raw, head, cfg)
    if kind != "mse":  # the cross-entropy of a centre has the entropy of the centre at its least
        assert loss.item() == pytest.approx(0, abs=1e-6)
        return
    loss.sum().backward()
    assert raw.grad.abs().max() < 1e-9
    moved = [[*right[:axis], right[axis] + 0.3, *right[axis + 1 :]] for axis in range(4)]
    assert all(loss_of(kind, raw_of(m), head, cfg) > loss + 1e-3 for m in moved)


def test_mse_has_the_gradient_of_darknets_yolo_layer():
    """delta = scale * (truth - x): yolo_layer.c, delta_yolo_box, with scale = 2 - w * h."""
    cfg, head = cfg_with(), one_target(20, 41, 24, 30)
    t = [0.3, -0.4, 0.2, -0.1]
    raw = raw_of(t).requires_grad_()
    loss_of("mse", raw, head, cfg).sum().backward()
    scale = 2 - (24 / 64) * (30 / 64)
    truth = [20 / 16 - 1, 41 / 16 - 2, math.log(24 / 23), math.log(30 / 27)]
    answer = [1 / (1 + math.exp(-t[0])), 1 / (1 + math.exp(-t[1])), t[2], t[3]]
    delta = [scale * (want - have) for want, have in zip(truth, answer, strict=True)]
    assert (-raw.grad[0, 1, 2, 1, :4]).tolist() == pytest.approx(delta, abs=1e-9)


def test_overlap_losses_are_in_their_known_order():
    torch.manual_seed(1)
    cfg = cfg_with()
    for _ in range(50):
        raw = raw_of(torch.randn(4).tolist())
        x, y, w, h = (torch.rand(4) * torch.tensor([63, 63, 40, 40]) + 1).tolist()
        head = one_target(min(x, 63.9), min(y, 63.9), w, h)
        values = {kind: loss_of(kind, raw, head, cfg).item() for kind in WEIGHTS}
        assert values["iou"] <= values["giou"] + 1e-6
        assert values["iou"] <= values["diou"] + 1e-6 <= values["ciou"] + 2e-6
        assert 0 <= values["iou"] <= 1 and values["giou"] <= 2


def test_iou_is_torchvisions():
    from torchvision.ops import box_iou

    torch.manual_seed(0)
    boxes = torch.rand(2, 30, 2) * 40
    boxes = torch.cat((boxes, boxes + 1 + torch.rand(2, 30, 2) * 30), dim=2)
    expected = box_iou(boxes[0], boxes[1]).diagonal()
    torch.testing.assert_close(paired_iou(boxes[0], boxes[1]), expected)


# --- classes and objectness -----------------------------------------------------------------------


def test_two_objects_at_one_place_are_both_right():
    cfg = cfg_with()
    box = [20.0 - 11, 40.0 - 13, 20.0 + 12, 40.0 + 14]
    targets = torch.tensor([[0, 0, *box], [0, 2, *box], [1, 1, *box]])
    head = assign(targets, cfg, [(2, 2), GRID])[1]
    wanted = class_targets(head, 3, GRID, 3)
    rows = {
        (int(i), int(k)): w.tolist()
        for i, k, w in zip(head.image, head.class_ids, wanted, strict=True)
    }
    assert rows == {(0, 0): [1, 0, 1], (0, 2): [1, 0, 1], (1, 1): [0, 1, 0]}


def raws_of(seed: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 24, side, side, generator=draw) for side in (2, 4)]


TARGETS = torch.tensor([[0, 1, 4.0, 6.0, 27.0, 33.0], [1, 2, 1.0, 1.0, 60.0, 63.0]])


def test_label_smoothing_moves_targets_by_half_of_it():
    """Loss is linear in the target: smoothing e takes (1 - e) of it and e / 2 of all ones."""
    cfg, raws = cfg_with(), raws_of(0)
    hard = detection_loss(raws, TARGETS, cfg)["classes"]
    soft = detection_loss(raws, TARGETS, cfg, LossSettings(label_smoothing=0.2))["classes"]
    full = detection_loss(raws, TARGETS, cfg, LossSettings(label_smoothing=1 - 1e-7))["classes"]
    assert soft.item() == pytest.approx(0.8 * hard.item() + 0.2 * full.item(), rel=1e-5)


def test_focal_loss_is_torchvisions():
    cfg = cfg_with(ignore_thresh=1.0)
    raws = raws_of(1)
    found = detection_loss(raws, torch.zeros(0, 6), cfg, LossSettings(focal_gamma=2))["objectness"]
    logits = torch.cat([r.view(2, 3, 8, -1)[:, :, 4].flatten() for r in raws])
    expected = sigmoid_focal_loss(logits, torch.zeros_like(logits), alpha=-1, gamma=2).sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_cfg_says_how_and_an_option_overrules_it():
    def with_keys(*extras) -> Cfg:
        return cfg_with(extras=extras)

    raws = raws_of(2)
    by_option = detection_loss(raws, TARGETS, cfg_with(), LossSettings(box="giou"))
    by_cfg = detection_loss(raws, TARGETS, with_keys(("iou_loss", "giou")))
    assert by_cfg["box"] == by_option["box"] != detection_loss(raws, TARGETS, cfg_with())["box"]
    both = detection_loss(raws, TARGETS, with_keys(("iou_loss", "mse")), LossSettings(box="giou"))
    assert both["box"] == by_option["box"]
    plain = detection_loss(raws, TARGETS, cfg_with())
    heavy = with_keys(("cls_normalizer", "0.5"), ("obj_normalizer", "3"))
    weighted = detection_loss(raws, TARGETS, heavy)
    assert weighted["classes"].item() == pytest.approx(0.5 * plain["classes"].item())
    assert weighted["objectness"].item() == pytest.approx(3 * plain["objectness"].item())
    smoothed = detection_loss(raws, TARGETS, with_keys(("label_smooth_eps", "0.1")))
    same = detection_loss(raws, TARGETS, cfg_with(), LossSettings(label_smoothing=0.1))
    assert smoothed["classes"] == same["classes"]


def test_per_image_divides_by_the_images():
    raws, cfg = raws_of(3), cfg_with()
    an_object = detection_loss(raws, TARGETS, cfg)
    an_image = detection_loss(raws, TARGETS, cfg, LossSettings(per="image"))
    ratios = {name: (an_image[name] / an_object[name]).item() for name in an_object}
    n_positives = sum(len(head.image) for head in assign(TARGETS, cfg, [(2, 2), GRID]))
    assert all(ratio == pytest.approx(n_positives / 2, rel=1e-5) for ratio in ratios.values())


@pytest.mark.parametrize(
    "wrong", [{"label_smoothing": 1.0}, {"focal_gamma": -1.0}, {"box_weight": float("nan")}]
)
def test_what_makes_no_loss_is_refused(wrong):
    with pytest.raises(InputError, match="out of range"):
        LossSettings(**wrong)


# --- neighbouring cells ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "scale_x_y", "places"),
    [
        (20, 41, 2.0, {(2, 1), (2, 0), (3, 1)}),  # left of and below the middle of its cell
        (28, 37, 2.0, {(2, 1), (2, 2), (1, 1)}),
        (20, 41, 1.0, {(2, 1)}),  # no box of another cell can reach the centre
        (17, 40.5, 1.2, {(2, 1), (2, 0)}),  # only the very near one
        (2, 2, 2.0, {(0, 0)}),  # at the border of the picture
    ],
)
def test_neighbours_look_as_far_as_they_can_reach(x, y, scale_x_y, places):
    cfg = cfg_with(scale_x_y=scale_x_y)
    target = torch.tensor([[0, 0, x - 11.5, y - 13.5, x + 11.5, y + 13.5]])
    head = assign(target, cfg, [(2, 2), GRID], neighbours=True)[1]
    assert set(zip(head.row.tolist(), head.column.tolist(), strict=True)) == places
    offsets_x = (x / 16 - head.column).tolist()
    reach = (scale_x_y - 1) / 2
    assert all(-reach <= offset <= 1 + reach for offset in offsets_x)
