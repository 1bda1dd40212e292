"""Blocks, taps and decoding against brute force, hand-made cases and the document's own shapes."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from core_zoo import COMPUTED

from yolo_slim.cfg import ACTIVATIONS, Maxpool, Yolo, infer_shapes, parse, read_cfg, resize
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.nn.blocks import ShortcutBlock
from yolo_slim.nn.decode import decode
from yolo_slim.nn.network import Network
from yolo_slim.nn.pools import MaxpoolBlock
from yolo_slim.nn.suppress import suppress
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

# --- maxpool --------------------------------------------------------------------------------------


def darknet_maxpool(x: np.ndarray, size: int, stride: int, padding: int) -> np.ndarray:
    """forward_maxpool_layer of Darknet, loop by loop: x [H, W]."""
    height, width = x.shape
    out = np.full([(side + padding - size) // stride + 1 for side in x.shape], -np.inf)
    for i, j, n, m in product(range(out.shape[0]), range(out.shape[1]), range(size), range(size)):
        row, column = i * stride + n - padding // 2, j * stride + m - padding // 2
        if 0 <= row < height and 0 <= column < width:
            out[i, j] = max(out[i, j], x[row, column])
    return out


@pytest.mark.parametrize("hw", [(7, 5), (6, 9), (13, 13), (5, 8)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_maxpool_is_darknet_s(size, stride, hw):
    x = np.random.default_rng(size).normal(size=(2, 3, *hw)) - 3  # a border of 0 would win
    for padding in sorted({0, size // 2, size - 1}):
        block = MaxpoolBlock(Maxpool(size=size, stride=stride, padding_px=padding))
        found = block(torch.from_numpy(x)).numpy()
        expected = [[darknet_maxpool(m, size, stride, padding) for m in image] for image in x]
        np.testing.assert_array_equal(found, np.array(expected))


# --- activations ----------------------------------------------------------------------------------

BY_HAND = {
    "linear": {-2.0: -2.0},
    "leaky": {-2.0: -0.2, 3.0: 3.0},
    "relu": {-2.0: 0.0, 2.0: 2.0},
    "relu6": {7.5: 6.0, 3.0: 3.0, -1.0: 0.0},
    "logistic": {2.0: 0.8807970779778823},
    "tanh": {0.5: 0.46211715726000973},
    "mish": {1.0: 0.8650983882673103},
    "hard_mish": {-3.0: 0.0, -1.0: -0.5, 2.0: 2.0},
    "swish": {1.0: 0.7310585786300049},
    "elu": {-1.0: math.exp(-1) - 1, 2.0: 2.0},
    "selu": {-1.0: 1.0507 * 1.6732 * (math.exp(-1) - 1), 2.0: 2.1014},
    "gelu": {1.0: 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715))},
    "ramp": {-2.0: -0.2, 2.0: 2.2},
    "hardtan": {-3.0: -1.0, 0.5: 0.5, 3.0: 1.0},
    "loggy": {2.0: 2 * 0.8807970779778823 - 1},
    "plse": {-6.0: -0.02, 2.0: 0.75, 6.0: 1.02},
    "stair": {2.5: 1.0, 3.25: 1.25, -1.5: -1.0},
    "relie": {-2.0: -0.02, 2.0: 2.0},
    "lhtan": {-2.0: -0.002, 0.5: 0.5, 3.0: 1.002},
    "hswish": {-4.0: 0.0, 1.0: 4 / 6, 4.0: 4.0},
    "hsigmoid": {-4.0: 0.0, 1.0: 4 / 6, 4.0: 1.0},
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_hand(name):
    for x, expected in BY_HAND[name].items():
        found = ACTIVATION_FUNCTIONS[name](torch.tensor([x], dtype=torch.float64))
        assert found.item() == pytest.approx(expected, abs=1e-12)


def test_shortcut_adds_the_channels_that_both_have():
    from yolo_slim.cfg import Shortcut

    block = ShortcutBlock(Shortcut(sources=(0,)), 3)
    wide, narrow = torch.ones(1, 3, 2, 2), torch.full((1, 2, 2, 2), 10.0)
    assert block(wide, narrow)[0, :, 0, 0].tolist() == [11, 11, 1]
    assert block(narrow, wide)[0, :, 0, 0].tolist() == [11, 11]


# --- the network ----------------------------------------------------------------------------------

SHAPED = [f"cfg/AlexeyAB/{n}.cfg" for n in ("yolov4-tiny", "enet-coco", "yolov3-tiny-prn",
          "csresnext50-panet-spp")] + ["cfg/yolo-fastest/yolo-fastest-1.1.cfg"]  # fmt: skip


@pytest.mark.parametrize("name", SHAPED)
def test_every_section_has_the_shape_that_the_document_says(name, shared_root):
    cfg = resize(read_cfg(shared_root / name), 96, 64)
    with torch.no_grad():
        _, taps = Network(cfg).eval().forward_with_taps(torch.rand(1, 3, 96, 64), range(len(cfg)))
    assert [tuple(taps[i].shape[1:]) for i in range(len(cfg))] == list(infer_shapes(cfg))


@pytest.mark.parametrize("name", COMPUTED)
def test_taps_are_the_outputs_of_the_sub_network(name, random_bundle):
    from dataclasses import replace

    cfg = build(name, 2, 64)
    bundle = random_bundle(cfg)
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    index = cfg.head_indices[0] - 3
    network = network_of(cfg, bundle.weights)
    front = replace(cfg, sections=cfg.sections[: index + 1])
    kept = {k: v for k, v in bundle.weights.items() if int(k.split(".")[0]) <= index}
    with torch.no_grad():
        heads, taps = network.forward_with_taps(images, [index, 0])
        (alone,) = network_of(front, kept)(images)
        plain = network(images)
    assert torch.equal(taps[index], alone)
    assert taps[index].std() > 1e-3
    assert all(torch.equal(a, b) for a, b in zip(heads, plain, strict=True))


def test_input_mean_and_std_are_applied_per_channel():
    text = "[net]\nwidth=4\nheight=4\n{}[convolutional]\nfilters=3\nsize=1\nactivation=linear\n"
    cfg = parse(text.format("mean=.1,.2,.3\nstd=.5,1,2\n"))
    weights = {"0.conv.weight": torch.eye(3).view(3, 3, 1, 1), "0.conv.bias": torch.zeros(3)}
    (out,) = network_of(cfg, weights)(torch.full((1, 3, 4, 4), 0.6))
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([1.0, 0.4, 0.15]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_folding_batchnorm_changes_nothing(activation, random_bundle):
    conv = (
        "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=3\npad=1\ngroups={}\nactivation={}\n"
    )
    cfg = parse(
        "[net]\nwidth=12\nheight=12\nbn_eps=0.001\n" + conv.format(1, activation)
        + conv.format(6, activation) + conv.format(2, activation)
    )  # fmt: skip
    bundle = random_bundle(cfg)
    folded = fold_batchnorm(bundle)
    images = torch.rand(2, 3, 12, 12, dtype=torch.float64)
    with torch.no_grad():
        (before,) = network_of(cfg, bundle.weights)(images)
        (after,) = network_of(folded.cfg, folded.weights)(images)
    assert before.std() > 1e-3
    assert (before - after).abs().max() <= 1e-9 * before.abs().max()
    assert folded.is_folded
    assert not any(".bn." in key for key in folded.weights)
    assert folded.history[-1].verb == "fold"
    assert fold_batchnorm(folded) is folded


# --- decoding -------------------------------------------------------------------------------------


def _yolo(**changes) -> Yolo:
    anchors = ((10.0, 20.0), (30.0, 40.0), (50.0, 60.0))
    return Yolo(mask=(2, 0), anchors_wh=anchors, classes=2, **changes)


def _one_cell(values: list[float], anchor: int, row: int, column: int) -> torch.Tensor:
    """A raw map [1, 2 * 7, 2, 4] that is -9 but in one cell of one anchor."""
    raw = torch.full((1, 2, 7, 2, 4), -9.0)
    raw[0, anchor, :, row, column] = torch.tensor(values)
    return raw.view(1, 14, 2, 4)


@pytest.mark.parametrize(
    ("changes", "raw", "centre", "size", "scores"),
    [
        # sigmoid(0) = 1/2: the centre of cell (3, 1), the anchor's own size
        ({}, [0, 0, 0, 0, 0, 0, -99], (3.5, 1.5), (50, 60), (0.25, 0)),
        ({}, [0, 0, math.log(2), -math.log(2), 99, 99, 0], (3.5, 1.5), (100, 30), (1, 0.5)),
        # sigmoid(ln 3) = 3/4; with s = 2: 2 * 3/4 - 1/2 = 1
        ({"scale_x_y": 2.0}, [math.log(3), 0, 0, 0, 0, 0, 0], (4, 1.5), (50, 60), (0.25, 0.25)),
        ({"scale_x_y": 1.05}, [99, -99, 0, 0, 0, 0, 0], (4.025, 0.975), (50, 60), (0.25, 0.25)),
        # new_coords: values are probabilities; (2 * 0.75)^2 = 2.25
        ({"new_coords": True}, [0.5, 0.25, 0.75, 0.5, 0.8, 0.5, 1], (3.5, 1.25), (112.5, 60),
         (0.4, 0.8)),
        ({"new_coords": True, "scale_x_y": 2.0}, [0.5, 1, 0.5, 1, 1, 1, 0], (3.5, 2.5), (50, 240),
         (1, 0)),
        # of a linear convolution: what is no probability counts as the nearest one
        ({"new_coords": True}, [0.5, 0.25, 0.75, 0.5, 9, -3, 0.5], (3.5, 1.25), (112.5, 60),
         (0, 0.5)),
        ({"new_coords": True}, [0.5, 0.25, 0.75, 0.5, -9, -3, 2], (3.5, 1.25), (112.5, 60), (0, 0)),
    ],
)  # fmt: skip
def test_decoding_by_hand(changes, raw, centre, size, scores):
    row, column, stride = 1, 3, (16, 32)  # grid 4 x 2 of an input of 64 x 64
    maps = _one_cell(raw, 0, row, column)
    boxes, confidence = decode(maps, _yolo(**changes), (64, 64))
    assert boxes.shape == (1, 16, 4)
    assert confidence.shape == (1, 16, 2)
    place = row * 4 + column  # anchor 0 comes first, then rows, then columns
    x1, y1, x2, y2 = boxes[0, place].tolist()
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx(
        (centre[0] * stride[0], centre[1] * stride[1]), abs=1e-3
    )
    assert (x2 - x1, y2 - y1) == pytest.approx(size, abs=1e-3)
    assert confidence[0, place].tolist() == pytest.approx(scores, abs=1e-4)


def test_the_second_anchor_of_the_mask_is_the_second_block():
    maps = _one_cell([0, 0, 0, 0, 0, 0, 0], 1, 0, 0)
    boxes, _ = decode(maps, _yolo(), (64, 64))
    x1, y1, x2, y2 = boxes[0, 8].tolist()
    assert (x2 - x1, y2 - y1) == pytest.approx((10, 20))


def test_a_wild_logit_makes_no_infinite_box():
    boxes, scores = decode(
        _one_cell([0, 0, 1e30, 1e30, 1e30, 1e30, 1e30], 0, 0, 0), _yolo(), (64, 64)
    )
    assert torch.isfinite(boxes).all()
    assert torch.isfinite(scores).all()


def test_suppression_is_within_a_class_and_best_first():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10.0]])
    scores = torch.tensor([[0.5, 0], [0.9, 0], [0.3, 0.2], [0, 0.8]])
    found, best, class_ids = suppress(boxes, scores, 0.25, 0.5, 10)
    assert best.tolist() == pytest.approx([0.9, 0.8, 0.3])
    assert class_ids.tolist() == [0, 1, 0]
    assert found.tolist() == boxes[[1, 3, 2]].tolist()
    assert len(suppress(boxes, scores, 0.25, 0.5, 1)[0]) == 1
    assert len(suppress(boxes, scores, 0.95, 0.5, 10)[0]) == 0


def test_the_layout_of_channels_changes_nothing():
    """[local] has a kernel of five sides, which torch refuses to lay out so."""
    text = "[convolutional]\nfilters=4\nsize=3\npad=1\n[local]\nfilters=2\nsize=3\npad=1\n"
    network = Network(parse("[net]\nwidth=8\nheight=6\n" + text)).eval()
    x = torch.rand(2, 3, 6, 8)
    (before,) = network(x)
    (after,) = network.channels_last()(x)
    kernel = network.get_submodule("0.conv").weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(before, after)
