"""Who is to find what, by hand-made cases; a perfect answer costs nothing; gradients flow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from yolo_slim.cfg import Cfg, Yolo
from yolo_slim.errors import InputError
from yolo_slim.nn.overlap import best_overlap, best_overlaps
from yolo_slim.train.loss import LossSettings, detection_loss
from yolo_slim.train.schedule import FINAL_SHARE, lr_share
from yolo_slim.train.settings import TrainSettings
from yolo_slim.train.targets import assign, shape_iou
from yolo_slim.zoo import build

# yolov3-tiny at 64 px: head 0 is 2x2 (anchors 81,82 135,169 344,319), head 1 is 4x4
# (anchors 10,14 23,27 37,58).
GRIDS = [(2, 2), (4, 4)]


def cfg_with(**changes) -> Cfg:
    cfg = build("yolov3-tiny", 3, 64)
    sections = tuple(replace(s, **changes) if isinstance(s, Yolo) else s for s in cfg)
    return replace(cfg, sections=sections)


def target(image: int, cls: int, x: float, y: float, w: float, h: float) -> list[float]:
    return [image, cls, x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def places(head) -> list[tuple[int, ...]]:
    rows = (head.image, head.anchor, head.row, head.column, head.class_ids)
    return sorted(zip(*(r.tolist() for r in rows), strict=True))


@pytest.mark.parametrize(
    ("box", "coarse", "fine"),
    [
        # shape of anchor 23,27, centre in column 0, row 2 of the 4x4 grid (16 px a cell)
        (target(0, 2, 8, 40, 23, 27), [], [(0, 1, 2, 0, 2)]),
        (target(1, 0, 40, 8, 10, 14), [], [(1, 0, 0, 2, 0)]),
        # shape of anchor 81,82, centre in column 1, row 0 of the 2x2 grid (32 px a cell)
        (target(0, 1, 33, 31, 81, 82), [(0, 0, 0, 1, 1)], []),
        # a centre on the right and lower border stays inside the grid
        (target(0, 1, 64, 64, 10, 14), [], [(0, 0, 3, 3, 1)]),
        (target(0, 1, 0, 0, 10, 14), [], [(0, 0, 0, 0, 1)]),
    ],
)
def test_an_object_goes_to_the_anchor_of_its_shape(box, coarse, fine):
    heads = assign(torch.tensor([box]), cfg_with(), GRIDS)
    assert [places(head) for head in heads] == [coarse, fine]
    found = heads[0] if coarse else heads[1]
    assert found.boxes_xyxy.tolist() == [pytest.approx(box[2:])]


def test_each_head_may_have_a_list_of_its_own():
    """The same anchors as above, each in the list of the head that has it, without a mask."""
    cfg = cfg_with()
    own = {
        i: replace(s, anchors_wh=s.masked_anchors_wh, mask=tuple(range(len(s.mask))))
        for i, s in enumerate(cfg)
        if isinstance(s, Yolo)
    }
    sections = list(own.get(i, s) for i, s in enumerate(cfg))
    sections[-1] = replace(sections[-1], anchors_wh=((1.0, 1.0), *sections[-1].anchors_wh),
                           mask=(1, 2, 3))  # fmt: skip
    apart = replace(cfg, sections=tuple(sections))
    boxes = torch.tensor([target(0, k, 30, 20, *wh) for k, wh in enumerate(
        [(23, 27), (10, 14), (81, 82), (60, 70), (300, 300), (2, 2)])])  # fmt: skip
    for one, other in zip(assign(boxes, cfg, GRIDS), assign(boxes, apart, GRIDS), strict=True):
        assert places(one) == places(other)


def test_with_iou_thresh_other_anchors_of_a_similar_shape_look_too():
    # 23x27 against 10x14: 140 / 621 = 0.225; against 37x58: 621 / 2146 = 0.289
    box = torch.tensor([target(0, 0, 8, 8, 23, 27)])
    counts = [
        sum(len(head.image) for head in assign(box, cfg_with(iou_thresh=thresh), GRIDS))
        for thresh in (1.0, 0.25, 0.2)
    ]
    assert counts == [1, 2, 3]


def test_shape_overlap_by_hand():
    found = shape_iou(torch.tensor([[10.0, 10], [20, 10]]), torch.tensor([[10.0, 10], [10, 40]]))
    torch.testing.assert_close(found, torch.tensor([[1, 0.25], [0.5, 1 / 5]]))


def test_best_overlap_looks_at_its_own_image():
    boxes = torch.tensor([[[0.0, 0, 10, 10]], [[0, 0, 10, 10]]])
    targets = torch.tensor([[0, 0, 0, 0, 10, 5], [0, 0, 50, 50, 60, 60], [2, 0, 0, 0, 10, 10]])
    assert best_overlap(boxes, targets).tolist() == [[0.5], [0.0]]
    some = boxes[[1, 0, 1], 0]
    assert best_overlaps(some, torch.tensor([1, 0, 2]), targets).tolist() == [0.0, 0.5, 1.0]
    assert best_overlaps(some[:0], torch.zeros(0), targets).tolist() == []


def perfect(cfg: Cfg, box: list[float], sure: float = 14.0) -> list[torch.Tensor]:
    """Raw maps that say nothing but `box`, by inverting the decoding by hand."""
    raws = [torch.full((1, 3 * 8, *grid), -sure) for grid in GRIDS]
    for head, raw in zip(assign(torch.tensor([box]), cfg, GRIDS), raws, strict=True):
        for row in range(len(head.image)):
            _, a, r, c, k = (int(v[row]) for v in (head.image, head.anchor, head.row, head.column,
                                                   head.class_ids))  # fmt: skip
            stride = 64 / raw.shape[2]
            index = 0 if raw.shape[2] == 2 else 1
            anchor = cfg.yolos[index].masked_anchors_wh[a]
            x, y = (box[2] + box[4]) / 2 / stride - c, (box[3] + box[5]) / 2 / stride - r
            cell = raw.view(1, 3, 8, *raw.shape[2:])[0, a, :, r, c]
            cell[0], cell[1] = math.log(x / (1 - x)), math.log(y / (1 - y))
            cell[2] = math.log((box[4] - box[2]) / anchor[0])
            cell[3] = math.log((box[5] - box[3]) / anchor[1])
            cell[4] = cell[5 + k] = sure
    return raws


@pytest.mark.parametrize("box", [target(0, 2, 9, 41, 23, 27), target(0, 0, 40, 20, 70, 90)])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_does(box, smooth):
    cfg = cfg_with(objectness_smooth=smooth)
    targets = torch.tensor([box])
    right = detection_loss(perfect(cfg, box), targets, cfg)
    assert sum(map(float, right.values())) < 1e-2
    moved = perfect(cfg, [*box[:2], box[2] + 4, box[3], box[4] + 4, box[5]])
    assert detection_loss(moved, targets, cfg)["box"] > 0.1
    another = perfect(cfg, [0, 1, *box[2:]])
    assert detection_loss(another, targets, cfg)["classes"] > 5
    silent = [raw.clone() for raw in perfect(cfg, box)]
    for raw in silent:
        raw.view(1, 3, 8, *raw.shape[2:])[:, :, 4] = -14.0  # the right box, and not sure of it
    assert detection_loss(silent, targets, cfg)["objectness"] > 5


def test_terms_scale_with_their_weights():
    cfg = cfg_with()
    torch.manual_seed(0)
    raws = [torch.randn(1, 24, *grid) for grid in GRIDS]
    targets = torch.tensor([target(0, 2, 9, 41, 23, 27)])
    one = detection_loss(raws, targets, cfg, LossSettings(box_weight=1))
    other = detection_loss(
        raws, targets, cfg, LossSettings(box_weight=2, objectness_weight=3, class_weight=4)
    )
    for key, factor in {"box": 2, "objectness": 3, "classes": 4}.items():
        assert other[key].item() == pytest.approx(factor * one[key].item())
        assert one[key] > 0


@pytest.mark.parametrize(("ignore_thresh", "counted"), [(0.45, False), (0.52, True)])
def test_a_good_box_of_someone_else_is_neither_right_nor_wrong(ignore_thresh, counted):
    """The cell to the right says 'object' with the same shape 8 px aside: IoU 15/31 = 0.484."""
    cfg = cfg_with(ignore_thresh=ignore_thresh)
    box = target(0, 2, 8, 40, 23, 27)
    raws = perfect(cfg, box)
    cell = raws[1].view(1, 3, 8, 4, 4)[0, 1, :, 2, 1]
    cell[0], cell[1], cell[2], cell[3], cell[4] = -14.0, 0.0, 0.0, 0.0, 14.0  # centre 16, 40
    theirs = torch.tensor([[[4.5, 26.5, 27.5, 53.5]]])
    assert best_overlap(theirs, torch.tensor([box])).item() == pytest.approx(15 / 31)
    objectness = detection_loss(raws, torch.tensor([box]), cfg)["objectness"].item()
    assert (objectness > 5) == counted
    assert objectness < 5 or objectness == pytest.approx(14, abs=0.1)


def test_no_object_is_legal_and_costs_objectness_alone():
    cfg = cfg_with()
    raws = [torch.zeros(2, 24, *grid, requires_grad=True) for grid in GRIDS]
    terms = detection_loss(raws, torch.zeros(0, 6), cfg)
    assert terms["box"].item() == terms["classes"].item() == 0
    # ln 2 for each of the 2 * 3 * (4 + 16) predictions
    assert terms["objectness"].item() == pytest.approx(math.log(2) * 2 * 3 * 20, rel=1e-5)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(raw.grad).all() for raw in raws)


def test_every_part_of_a_positive_has_a_gradient():
    cfg = cfg_with()
    torch.manual_seed(1)
    raws = [torch.randn(1, 24, *grid).requires_grad_() for grid in GRIDS]
    targets = torch.tensor([target(0, 2, 9, 41, 20, 30)])
    torch.stack(list(detection_loss(raws, targets, cfg).values())).sum().backward()
    gradient = raws[1].grad.view(1, 3, 8, 4, 4)
    assert (gradient[0, 1, :, 2, 0] != 0).all()
    assert (gradient[0, 1, :4, 0, 0] == 0).all()  # no object there: its box is free
    assert gradient[0, 1, 4, 0, 0] > 0  # and its objectness goes down
    assert gradient[0, 1, 4, 2, 0] < 0


@pytest.mark.parametrize("n_warmup", [0, 1, 7])
def test_the_rate_rises_to_its_peak_and_falls_to_a_hundredth(n_warmup):
    shares = [lr_share(step, 40, n_warmup) for step in range(41)]
    assert max(shares) == shares[n_warmup] == pytest.approx(1)
    assert shares[:n_warmup] == sorted(shares[:n_warmup])
    assert shares[n_warmup:] == sorted(shares[n_warmup:], reverse=True)
    assert shares[-1] == pytest.approx(FINAL_SHARE)
    assert 0 < min(shares)


@pytest.mark.parametrize(
    "change",
    [{"epochs": 0}, {"batch_size": 0}, {"lr": 0}, {"lr": 10}, {"sparsity": -1}, {"accumulate": 0},
     {"ema_decay": 1}, {"precision": "fp8"}, {"workers": 65}],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(change):
    name = next(iter(change)).replace("_", "-")
    with pytest.raises(InputError, match=f"--{name}"):
        TrainSettings(**{"epochs": 1, **change})
