"""A teacher's answers as targets: where both agree, where it is right, and whom it can teach."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from yolo_slim.cfg import Cfg, with_anchors
from yolo_slim.distill.outputs import match_heads, output_terms, soft_target_loss
from yolo_slim.errors import InputError
from yolo_slim.zoo import build

CFG = build("yolov3-tiny", 2, 64)
NO_TARGETS = torch.zeros(0, 6)


def maps(seed: int, cfg: Cfg = CFG) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    sides = [cfg.input_hw[0] // 32, cfg.input_hw[0] // 16, cfg.input_hw[0] // 8]
    return [torch.randn(2, 21, side, side, generator=draw) for side in sides[: len(cfg.heads)]]


def terms(student, teacher, cfg=CFG, other=CFG, targets=NO_TARGETS):
    pairs = match_heads(cfg, other)
    yolos = cfg.yolos, other.yolos
    return output_terms(student, teacher, pairs, yolos, cfg.input_hw, targets)


def test_who_answers_as_the_teacher_is_at_the_bottom_of_every_term():
    """Cross-entropy is least, and flat, where both say the same; the boxes cost nothing."""
    theirs = maps(0)
    mine = [x.clone().requires_grad_() for x in theirs]
    found = terms(mine, theirs)
    assert found["boxes"].item() == pytest.approx(0, abs=1e-5)
    (found["objectness"] + found["classes"]).backward()
    assert all(x.grad.abs().max() < 1e-6 for x in mine)
    for seed in (1, 2, 3):
        others = terms(maps(seed), theirs)
        assert all(others[name] > found[name] for name in found)


def test_classes_count_by_what_the_teacher_believes():
    theirs = [x.clone() for x in maps(0)]
    for x in theirs:  # it sees nothing but one object
        x.view(2, 3, 7, *x.shape[2:])[:, :, 4] = -30
    theirs[0].view(2, 3, 7, 2, 2)[0, 1, 4, 0, 1] = 30
    mine = [x.clone().requires_grad_() for x in maps(1)]
    found = terms(mine, theirs)
    logits = [x[0].view(3, 7, 2, 2)[1, 5:, 0, 1] for x in (mine[0], theirs[0])]
    expected = F.binary_cross_entropy_with_logits(logits[0], logits[1].sigmoid(), reduction="sum")
    assert found["classes"].item() == pytest.approx(expected.item(), rel=1e-5)
    found["classes"].backward()
    assert (mine[0].grad.abs() > 1e-6).sum() == 2 and mine[1].grad.abs().max() < 1e-6


def test_a_box_that_lies_better_than_the_teachers_is_left_alone():
    theirs, mine = [x.clone() for x in maps(0)], [x.clone() for x in maps(0)]
    for x in (*theirs, *mine):
        x.view(2, 3, 7, *x.shape[2:])[:, :, 4] = -30
    there = (0, 1, slice(None), 0, 1)
    theirs[0].view(2, 3, 7, 2, 2)[there] = torch.tensor([1.5, 0, 0.4, 0, 30, 0, 0])
    mine[0].view(2, 3, 7, 2, 2)[there] = torch.tensor([0.0, 0, 0, 0, 30, 0, 0])
    (w, h) = CFG.yolos[0].masked_anchors_wh[1]
    centre = torch.tensor([1.5 * 32, 0.5 * 32])  # sigmoid(0) is the middle of column 1, row 0
    half = torch.tensor([w, h]) / 2
    truth = torch.cat([torch.tensor([0.0, 0.0]), centre - half, centre + half])[None]
    assert terms(mine, theirs)["boxes"] > 0.05  # nothing says which of the two is right
    assert terms(mine, theirs, targets=truth)["boxes"].item() == 0  # the student is
    assert terms(theirs, mine, targets=truth)["boxes"] > 0.05  # now the teacher is


def test_heads_are_matched_by_stride_and_anchors_by_shape():
    """YOLOv3's heads go from stride 32 to 8; the tiny one has 32 and 16, and other anchors."""
    student, teacher = CFG, build("yolov3", 2, 64)
    pairs = match_heads(student, teacher)
    assert [(pair.student, pair.teacher) for pair in pairs] == [(0, 0), (1, 1)]
    for pair in pairs:
        for mine, theirs in pair.anchors:
            a = student.yolos[pair.student].masked_anchors_wh[mine]
            b = teacher.yolos[pair.teacher].masked_anchors_wh[theirs]
            both = min(a[0], b[0]) * min(a[1], b[1])
            assert both / (a[0] * a[1] + b[0] * b[1] - both) >= 0.5
    found = terms(maps(0), maps(1, teacher), student, teacher)
    assert all(term.isfinite() for term in found.values())


def test_who_cannot_teach_is_told():
    with pytest.raises(InputError, match="differ in classes, 3 and 2"):
        match_heads(CFG, build("yolov3", 3, 64))
    with pytest.raises(InputError, match=r"of 64x64, the teacher .* of 96x96"):
        match_heads(CFG, build("yolov3", 2, 96))
    tiny = [(1.0, 1.0 + k) for k in range(6)]
    with pytest.raises(InputError, match="no head of one stride with anchors alike"):
        match_heads(with_anchors(CFG, tiny), CFG)
    sections = tuple(
        replace(section, new_coords=True) if section in CFG.yolos else section for section in CFG
    )
    with pytest.raises(InputError, match="new_coords=1"):
        match_heads(replace(CFG, sections=sections), CFG)


def test_soft_targets_are_the_divergence_and_keep_their_gradient():
    """Against the sum written down; for large T the gradient no longer depends on T."""
    draw = torch.Generator().manual_seed(0)
    mine, theirs = (torch.randn(4, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    temperature = 3.0
    p, q = (theirs / temperature).softmax(1), (mine / temperature).softmax(1)
    expected = temperature**2 * (p * (p / q).log()).sum() / 4
    found = soft_target_loss(mine, theirs, temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    sizes = []
    for t in (100.0, 1000.0):
        student = mine.clone().requires_grad_()
        soft_target_loss(student, theirs, t).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
