"""Which maps are compared: read off cfgs whose stages are known."""

from __future__ import annotations

import pytest

from yolo_slim.cfg import Cfg, Shortcut, infer_shapes, parse, residual_blocks
from yolo_slim.cfg.blocks import drop_blocks
from yolo_slim.distill.taps import find_taps, match_taps
from yolo_slim.errors import InputError
from yolo_slim.zoo import build

DETECTORS = [
    "yolov3", "yolov3-tiny", "yolov3-nano", "yolov3-mobilenetv2", "yolov3-tiny-mobilenetv3-small",
    "yolov3-tiny-shufflenetv2-1.0", "yolov3-tiny-ghostnet", "yolov3-tiny-efficientnet-b0",
    "yolov3-tiny-resnet18",
]  # fmt: skip


def test_darknet_53():
    """Stages end in the shortcuts 11, 36, 61; heads read the 3x3 convolutions before them."""
    cfg = build("yolov3", 80, 416)
    found = [(tap.kind, tap.stride_px, tap.section, tap.channels) for tap in find_taps(cfg)]
    assert found == [
        ("stage", 4, 11, 128), ("stage", 8, 36, 256), ("stage", 16, 61, 512),
        ("head", 32, 80, 1024), ("head", 16, 92, 512), ("head", 8, 104, 256),
    ]  # fmt: skip
    assert all(isinstance(cfg[section], Shortcut) for section in (11, 36, 61))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_tap_has_the_stride_that_it_says(name):
    cfg = build(name, 3, 96)
    taps, shapes = find_taps(cfg), infer_shapes(cfg)
    for tap in taps:
        assert shapes[tap.section].height * tap.stride_px == 96
        assert shapes[tap.section].channels == tap.channels
    assert sum(tap.kind == "head" for tap in taps) == len(cfg.heads)
    strides = [tap.stride_px for tap in taps if tap.kind == "stage"]
    assert strides == sorted(set(strides)) and 8 in strides


@pytest.mark.parametrize("name", DETECTORS)
def test_every_student_finds_its_place_in_the_full_teacher(name):
    teacher, student = build("yolov3", 3, 96), build(name, 3, 96)
    pairs = match_taps(student, teacher)
    for pair in pairs:
        assert (pair.student.kind, pair.student.stride_px) == (
            pair.teacher.kind, pair.teacher.stride_px,
        )  # fmt: skip
    assert sum(pair.student.kind == "head" for pair in pairs) == len(student.heads)
    stages = [pair.weight for pair in pairs if pair.student.kind == "stage"]
    assert stages == [0.5 ** (len(stages) - k) for k in range(len(stages))]
    assert all(pair.weight == 1 for pair in pairs if pair.student.kind == "head")


def test_a_student_without_some_layers_matches_by_stride_not_by_number():
    teacher = build("yolov3", 3, 96)
    student, _ = drop_blocks(teacher, residual_blocks(teacher)[2:12])
    pairs = match_taps(student, teacher)
    assert len(pairs) == 6
    assert any(pair.student.section != pair.teacher.section for pair in pairs)


def test_a_classifier_ends_in_its_last_wide_map():
    cfg = build("resnet18", 10, 64)
    *stages, last = find_taps(cfg)
    assert [tap.stride_px for tap in stages] == [4, 8, 16]
    assert (last.kind, last.stride_px, last.channels) == ("head", 32, 512)


def test_by_hand():
    teacher, student = build("yolov3", 3, 96), build("yolov3-tiny", 3, 96)
    (pair,) = match_taps(student, teacher, [(6, 36)])
    assert (pair.student.channels, pair.teacher.channels, pair.weight) == (128, 256, 1.0)
    with pytest.raises(InputError, match=r"--taps 6:61: .* 12x12, the teacher's 6x6"):
        match_taps(student, teacher, [(6, 61)])
    with pytest.raises(InputError, match=r"the teacher .* has sections 0 to 106"):
        match_taps(student, teacher, [(6, 107)])


def test_other_sizes_of_input_are_refused():
    with pytest.raises(InputError, match=r"64x64, the teacher .* of 96x96"):
        match_taps(build("yolov3-tiny", 3, 64), build("yolov3", 3, 96))


def _of_strides(strides_wh: list[tuple[int, int]], behind_head: str = "") -> Cfg:
    convs = "".join(
        f"[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride_x={x}\nstride_y={y}\npad=1\n"
        for x, y in strides_wh
    )
    return parse(
        f"[net]\nwidth=64\nheight=64\n{convs}[convolutional]\nfilters=6\nsize=1\n{behind_head}"
        "[yolo]\nmask=0\nanchors=16,16\nclasses=1\n"
    )


def test_maps_are_compared_that_are_as_high_and_as_wide():
    """One halves its width first, the other its height: of 16x8 and 8x16 cells there is no pair."""
    wide = _of_strides([(2, 2), (2, 2), (2, 1), (1, 2), (2, 2)])
    high = _of_strides([(2, 2), (2, 2), (1, 2), (2, 1), (2, 2)])
    assert [tap.hw for tap in find_taps(wide)] == [(16, 16), (16, 8), (8, 8), (4, 4)]
    found = [(pair.student.section, pair.teacher.section) for pair in match_taps(wide, high)]
    assert found == [(1, 1), (3, 3), (4, 4)]


def test_a_head_is_found_behind_what_moves_its_map():
    strides = [(2, 2), (2, 2)]
    assert find_taps(_of_strides(strides, "[dropout]\n")) == find_taps(_of_strides(strides))
