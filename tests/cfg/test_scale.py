"""Laws of compound scaling, with the published EfficientNets as a judge."""

import math
import time

import pytest
import torch
from kitchen_sink import SMALL_NETWORKS, conv

from yolo_slim.cfg import (
    Conv,
    Shortcut,
    deepen,
    divisible,
    infer_shapes,
    parse,
    render,
    resize,
    reward,
    scale,
    search,
    totals,
    widen,
)
from yolo_slim.cfg.deepen import unit_groups
from yolo_slim.cfg.scale import coarsest_stride
from yolo_slim.cfg.sections import Gate
from yolo_slim.errors import CfgError, InputError
from yolo_slim.nn.network import Network
from yolo_slim.zoo import build, classifiers

DETECTORS = (
    "yolov3", "yolov3-tiny", "yolov3-resnet18", "yolov3-mobilenetv2", "yolov3-mobilenetv3-small",
    "yolov3-shufflenetv2-1.0", "yolov3-ghostnet", "yolov3-efficientnet-b0", "yolov3-densenet121",
    "yolov3-vgg16",
)  # fmt: skip
EFFICIENTNETS = {"b1": (1.0, 1.1, 240), "b2": (1.1, 1.2, 260), "b3": (1.2, 1.4, 300)}
"""Width, depth and input size, from the table of Tan and Le's code."""

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
END = "[avgpool]\n[connected]\noutput=10\nactivation=linear\n"
BLOCK = conv(8) + conv(16) + "[shortcut]\nfrom=-3\n"
STAGED = NET + conv(16) + 3 * BLOCK + conv(32) + "[route]\nlayers=-1,9\n" + conv(24) + END


def kinds(cfg):
    return " ".join(section.kind for section in cfg)


def test_a_stage_of_three_blocks_by_hand():
    cfg = parse(STAGED)
    block = "convolutional convolutional shortcut "
    for factor, count in ((1.2, 4), (1.34, 5), (2, 6), (0.5, 2), (0.7, 2), (0.9, 3), (0.1, 1)):
        deep = deepen(cfg, factor)
        assert kinds(deep) == (
            "convolutional " + block * count
            + "convolutional route convolutional avgpool connected"
        ), factor  # fmt: skip
        assert deep[3 * count + 2].sources == (
            3 * count + 1,
            3 * count,
        )  # the end of the stage, still
        assert [s.sources for s in deep if isinstance(s, Shortcut)] == [
            (3 * place,) for place in range(count)
        ]


def test_a_factor_of_eleven_tenths_makes_eleven_of_ten():
    ten = parse(NET + conv(16) + 10 * BLOCK + conv(24) + END)
    assert len(unit_groups(deepen(ten, 1.1))) == 1
    assert unit_groups(deepen(ten, 1.1))[0].count == 11  # 10 * 1.1 > 11 in floating point


@pytest.mark.parametrize(
    ("text", "units"),
    [
        (conv(8) + 3 * conv(8), [(1, 1, 3)]),  # equal convolutions, as VGG's
        (conv(8) + conv(8) + conv(8, 5), [(1, 1, 1), (2, 1, 1)]),  # of different kernels
        (conv(8) + 2 * (conv(4, 1) + conv(8)), [(1, 2, 2)]),
        (conv(8) + conv(8, 1), []),  # mixes no pixels
        (conv(8) + conv(8) + "groups=8\n", []),  # mixes no channels
        (conv(8) + 2 * (conv(8) + "groups=8\n" + conv(8, 1)), [(1, 2, 2)]),
        # The pair inside of a branch has the right shape, and is passed by.
        (conv(8) + conv(16) + 2 * conv(16) + conv(8) + "[shortcut]\nfrom=-5\n", [(1, 5, 1)]),
        (conv(8) + conv(16) + 2 * conv(16) + "[route]\nlayers=-1,0\n", []),
        # A residual block is one on a branch, too (CSPNet).
        (conv(16) + conv(16, stride=2) + conv(4) + 2 * (conv(4) + "[shortcut]\nfrom=-2\n")
         + "[route]\nlayers=-1,1\n", [(3, 2, 2)]),
        # The matrices of squeeze-and-excitation make a gate.
        (conv(8) + "[avgpool]\n" + conv(8, 3) + "[scale_channels]\nfrom=0\n", []),
        # An inner map, or the input, is read later.
        (conv(8) + 2 * conv(8) + "[route]\nlayers=-1,1\n", [(1, 1, 1)]),
    ],
)  # fmt: skip
def test_what_is_a_unit(text, units):
    cfg = parse(NET + text + conv(44) + END)
    assert [(g.start, g.length, g.count) for g in unit_groups(cfg)] == units


@pytest.mark.parametrize("between", ["", "[dropout]\n", "[activation]\nactivation=linear\n"])
def test_what_a_head_reads_is_no_unit_whatever_lies_between(between):
    yolo = "[yolo]\nmask=0,1\nanchors=4,5, 9,8\nclasses=2\nnum=2\n"
    cfg = parse(NET + 3 * conv(14) + between + yolo)
    assert [(g.start, g.length, g.count) for g in unit_groups(cfg)] == [(1, 1, 1)]


def test_units_of_the_zoo_are_the_blocks_of_the_papers():
    def counts(name):
        return [(group.length, group.count) for group in unit_groups(build(name))]

    assert counts("darknet53") == [(3, 1), (3, 2), (3, 8), (3, 8), (3, 4)]
    assert counts("yolov3") == [*counts("darknet53"), (2, 2), (2, 2), (2, 2)]
    assert counts("shufflenetv2-1.0") == [(7, 3), (7, 7), (7, 3)]
    assert counts("efficientnet-b0") == [(8, 1), (8, 1), (8, 2), (8, 2), (8, 3)]
    assert counts("vgg16") == [(1, 1), (1, 1), (1, 2), (1, 2), (1, 3)]
    assert counts("mobilenetv1-1.0")[-2:] == [(2, 5), (2, 1)]


@pytest.mark.parametrize("name", classifiers())
def test_by_one_is_the_identity(name):
    cfg = build(name)
    assert deepen(cfg, 1) == widen(cfg, 1) == scale(cfg, 0) == cfg


@pytest.mark.parametrize("name", classifiers())
@pytest.mark.parametrize("factor", [0.5, 0.75, 0.9, 1.1, 1.5, 2.0])
def test_widths(name, factor):
    cfg = build(name)
    wide = widen(cfg, factor)
    assert parse(render(wide)) == wide
    assert wide[len(wide) - 1] == cfg[len(cfg) - 1]  # the logits, or what comes after them
    shapes, old_shapes = infer_shapes(wide), infer_shapes(cfg)
    assert shapes[-1] == old_shapes[-1]
    for index, section in enumerate(wide):
        old = old_shapes[index].channels
        if isinstance(section, Conv) and factor < 1:
            assert section.filters <= cfg[index].filters
        # The halves of a ghost module follow the map that they are added to.
        if isinstance(section, Conv) and old % 8 == 0 and "ghostnet" not in name:
            assert section.filters % 8 == 0 or section.filters == old
        if isinstance(section, Shortcut | Gate):  # what was equal is equal
            for link in wide.links(index)[1:]:
                was_equal = old_shapes[link].channels == old_shapes[index - 1].channels
                assert not was_equal or shapes[link].channels == shapes[index - 1].channels


def test_divisible_is_at_most_a_tenth_below():
    assert [divisible(n) for n in (1, 11.9, 12, 26.4, 35.2, 97)] == [8, 16, 16, 24, 32, 96]
    assert divisible(11) == 16  # 8 would be more than 10 % below
    assert all(divisible(n) % 8 == 0 and divisible(n) >= 0.9 * n for n in range(1, 400))


def test_too_deep_is_refused_before_it_is_built():
    with pytest.raises(CfgError, match=r"yolov3 .* sections: refused"):
        deepen(build("yolov3"), 1e12)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("phi", [-1, -0.5, 0.5, 1])
def test_detectors_move_by_about_the_product(name, phi):
    """The band: from a tenth below to two fifths above. Depths are rounded up, inputs to 32 px, and
    a network of few units moves in leaps."""
    cfg = build(name)
    scaled = scale(cfg, phi)
    assert parse(render(scaled)) == scaled
    assert scaled.heads == cfg.heads
    assert scaled.net.width % 32 == scaled.net.height % 32 == 0
    share = totals(scaled).macs / totals(cfg).macs / (1.2 * 1.1**2 * 1.15**2) ** phi
    assert 0.9 < share < 1.4


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_b0_scaled_is_near_the_published_network(name):
    """Its first blocks of rows are in no unit, so rows of one block stay, and B1 to B3 are larger:
    ours have 75 to 100 % of their parameters and MACs."""
    width, depth, size_px = EFFICIENTNETS[name]
    ours = resize(widen(deepen(build("efficientnet-b0"), depth), width), size_px, size_px)
    published = build(f"efficientnet-{name}")
    for quantity in ("parameters", "macs"):
        share = getattr(totals(ours), quantity) / getattr(totals(published), quantity)
        assert 0.75 < share < 1, quantity


def test_widened_b0_is_the_published_width():
    """Without depth nothing differs but the squeezes, which follow the published widths / 4."""
    wide, published = widen(build("efficientnet-b0"), 1.2), build("efficientnet-b3")
    trunk_widths = {s.filters for s in published if isinstance(s, Conv) and s.filters % 8 == 0}
    assert {40, 24, 32, 48, 96, 136, 232, 384, 1536} <= trunk_widths
    assert {40, 24, 32, 48, 96, 136, 232, 384, 1536} <= {
        s.filters for s in wide if isinstance(s, Conv)
    }


@pytest.mark.parametrize("name", SMALL_NETWORKS)
@pytest.mark.parametrize("factor", [0.75, 1.0, 1.5, 2.0])
def test_torch_agrees_with_the_document(name, factor):
    cfg = widen(deepen(SMALL_NETWORKS[name](), factor), factor)
    agree(cfg)


@pytest.mark.parametrize("phi", [-2, 1.5])
def test_torch_agrees_on_a_whole_detector(phi):
    agree(scale(build("yolov3-tiny-shufflenetv2-0.5", 2, 64), phi))


def agree(cfg):
    with torch.no_grad():
        images = torch.rand(1, cfg.net.channels, *cfg.input_hw)
        _, taps = Network(cfg).eval().forward_with_taps(images, range(len(cfg)))
    assert [tuple(taps[i].shape[1:]) for i in range(len(cfg))] == [
        tuple(shape) for shape in infer_shapes(cfg)
    ]


def test_the_side_is_a_multiple_of_the_coarsest_stride():
    assert coarsest_stride(build("yolov3")) == 32
    assert coarsest_stride(build("efficientnet-b1")) == 32  # 240 px end in a map of 8
    assert coarsest_stride(build("resnet20")) == 4
    assert coarsest_stride(build("yolov3-nano")) == 16
    assert scale(build("yolov3"), 1).input_hw == (480, 480)  # 478.4
    assert scale(build("yolov3"), -1).input_hw == (352, 352)  # 361.7
    wide = scale(resize(build("yolov3"), 320, 608), 1, gamma=1.3)
    assert wide.input_hw == (416, 800)  # 416, 790.4
    assert scale(build("yolov3"), -40, alpha=1, beta=1).input_hw == (32, 32)


def test_search_finds_the_paper():
    grid = [1 + place / 20 for place in range(9)]
    found = search(build("yolov3-nano", 2, 96), grid, grid, grid)
    points = [candidate[:3] for candidate in found]
    assert any(point == pytest.approx((1.2, 1.1, 1.15)) for point in points)
    assert all(abs(a * b * b * g * g - 2) <= 0.1 + 1e-6 for a, b, g in points)
    assert len(points) == sum(
        abs(a * b * b * g * g - 2) <= 0.1 + 1e-9 for a in grid for b in grid for g in grid
    )
    alpha, beta, gamma, cfg = found[0]
    assert cfg == scale(build("yolov3-nano", 2, 96), 1, alpha, beta, gamma)


def test_reward_by_hand():
    assert reward(0.4, 1e9, 1e9) == 0.4
    assert reward(0.4, 2e9, 1e9) == pytest.approx(0.4 / 2**0.07)
    assert reward(0.4, 0.5e9, 1e9, w=-1) == pytest.approx(0.8)
    with pytest.raises(InputError, match="positive"):
        reward(0.4, 0, 1)


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf])
def test_what_is_no_factor(factor):
    cfg = build("yolov3-nano")
    for edit in (deepen, widen):
        with pytest.raises(InputError, match="expected a positive number"):
            edit(cfg, factor)
    with pytest.raises(InputError, match="expected positive numbers"):
        scale(cfg, 1, alpha=factor)
    with pytest.raises(InputError, match="expected positive numbers"):
        scale(cfg, 1e6)


@pytest.mark.parametrize(
    "between", [1200 * "[dropout]\n", 24 * "[route]\nlayers=-1,-1\ngroups=2\n"],
    ids=["one after the other", "each read twice"],
)  # fmt: skip
def test_who_makes_a_width_is_found_at_once_however_far_back(between):
    cfg = parse(NET + conv(16) + between + "[shortcut]\nfrom=0\n" + END)
    started = time.perf_counter()
    assert infer_shapes(widen(cfg, 2))[-3].channels == 32
    assert time.perf_counter() - started < 1


def test_what_cannot_be_widened_is_told():
    selected = parse(NET + conv(16) + "[select]\nchannels=0,15\n" + conv(24) + END, "s.cfg")
    assert len(widen(selected, 2)) == len(selected)
    with pytest.raises(CfgError, match=r"s\.cfg cannot be widened by 0\.5: .*selects channel 15"):
        widen(selected, 0.5)
    # A sum of two widths is tied to a third: the convolution behind it follows.
    followed = parse(
        NET + conv(12) + conv(20) + "[route]\nlayers=-1,-2\n" + conv(32)
        + "[shortcut]\nfrom=-2\n" + END
    )  # fmt: skip
    wide = widen(followed, 1.3)
    assert wide[3].filters == wide[0].filters + wide[1].filters
    # Nothing can follow: both operands are sums.
    knot = parse(
        NET + conv(12) + conv(20) + "[route]\nlayers=-1,-2\n" + conv(24) + conv(8)
        + "[route]\nlayers=-1,-2\n[shortcut]\nfrom=-4\n" + END, "knot.cfg"
    )  # fmt: skip
    with pytest.raises(CfgError, match=r"knot\.cfg.*\[shortcut\] ties sections 5 and 2"):
        widen(knot, 1.1)
