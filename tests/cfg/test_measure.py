"""Parameters and MACs are the published ones, and those that torch and the real files hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from core_zoo import CORE
from torch import nn

from yolo_slim.cfg import Cfg, infer_shapes, measure, parse, read_cfg, render, totals
from yolo_slim.errors import CfgError, InputError
from yolo_slim.nn.network import Network
from yolo_slim.zoo import build

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
WEIGHTS_FILES = sorted((SHARED / "weights").rglob("*.weights"))


@pytest.mark.parametrize(
    ("name", "parameters", "floats"),
    [("yolov3", 61_949_149, 62_001_757), ("yolov3-tiny", 8_852_366, 8_858_734)],
)
def test_published_numbers(name, parameters, floats):
    total = totals(build(name))
    assert (total.parameters, total.weights_file_floats) == (parameters, floats)


def test_macs_of_yolov3_tiny():
    # Darknet prints 5.565 BFLOPs for 416 px, two for each multiply-accumulate.
    assert totals(build("yolov3-tiny", size_px=416)).macs == 2_782_480_896


@pytest.mark.parametrize("name", CORE)
def test_macs_grow_with_the_area(name):
    small, large = (totals(build(name, size_px=size)) for size in (64, 128))
    assert large.macs == 4 * small.macs
    assert large.parameters == small.parameters


@pytest.mark.parametrize("name", CORE)
def test_parameters_are_torch_s(name):
    network = Network(build(name))
    assert totals(build(name)).parameters == sum(p.numel() for p in network.parameters())
    floats = [b.numel() for k, b in network.named_buffers() if "running" in k]
    assert totals(build(name)).weights_file_floats == totals(build(name)).parameters + sum(floats)


def _separable(groups: int) -> Cfg:
    return parse(
        "[net]\nwidth=112\nheight=112\nchannels=64\n"
        f"[convolutional]\nfilters={128 if groups == 1 else 64}\nsize=3\npad=1\ngroups={groups}\n"
        + ("[convolutional]\nfilters=128\nsize=1\n" if groups > 1 else "")
    )


def test_textbook_cost_of_a_depthwise_separable_convolution():
    # Howard et al., MobileNets, 2017, with D_F=112, M=64, N=128, D_K=3.
    assert totals(_separable(1)).macs == 924_844_032
    assert [cost.macs for cost in measure(_separable(64))] == [7_225_344, 102_760_448]
    assert totals(_separable(64)).macs == 109_985_792


def test_the_real_weights_files_are_there(shared_root):
    assert len(WEIGHTS_FILES) == 12


@pytest.mark.parametrize("path", WEIGHTS_FILES, ids=lambda path: path.stem)
def test_a_real_weights_file_holds_what_its_cfg_needs(path):
    needed = totals(read_cfg(path.with_suffix(".cfg"))).weights_file_floats
    assert path.stat().st_size == 20 + 4 * needed  # three int32 and a uint64, then float32


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov3-tiny"])
def test_the_zoo_is_pjreddie_s(name, shared_root):
    theirs = read_cfg(shared_root / "cfg" / "pjreddie" / f"{name}.cfg")
    ours = build(name)
    assert len(ours) == len(theirs)
    for index, section in enumerate(theirs):
        assert ours[index] == replace(section, extras=()), theirs.where(index)


@pytest.mark.parametrize("name", CORE)
def test_the_checked_in_cfg_is_what_the_zoo_writes(name):
    path = REPOSITORY / "cfg" / f"{name}.cfg"
    assert path.is_file(), f"write it: render(build({name!r})) > cfg/{name}.cfg"
    assert path.read_text() == render(build(name))


def test_every_checked_in_cfg_is_in_the_zoo():
    found = {path.stem for path in (REPOSITORY / "cfg").glob("*.cfg")}
    assert found - set(CORE) == set()


def test_an_unknown_name_is_told_the_near_one():
    with pytest.raises(InputError, match="did you mean yolov3-tiny"):
        build("yolov3-tinny")


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("name", CORE)
def test_classes_reach_every_head(name, classes):
    cfg = build(name, classes, size_px=64)
    shapes = infer_shapes(cfg)
    assert cfg.n_classes == classes
    assert {shapes[i].channels for i in cfg.head_indices} == {3 * (5 + classes)}


def _conv_cfg(size: int, stride: int, padding: int, dilation: int) -> Cfg:
    return parse(
        "[net]\nwidth=17\nheight=14\nchannels=2\n[convolutional]\nfilters=2\n"
        f"size={size}\nstride={stride}\npadding={padding}\ndilation={dilation}\n"
    )


def _torch_hw(size: int, stride: int, padding: int, dilation: int) -> tuple[int, ...]:
    conv = nn.Conv2d(2, 2, size, stride, padding * dilation, dilation)
    return tuple(conv(torch.zeros(1, 2, 14, 17)).shape[2:])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("size", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1),
                                               (4, 2), (5, 0), (5, 2), (7, 3)])  # fmt: skip
def test_inferred_shapes_of_convolutions_are_torch_s(size, padding, stride):
    cfg = _conv_cfg(size, stride, padding, 1)
    assert infer_shapes(cfg)[0][1:] == _torch_hw(size, stride, padding, 1)


@pytest.mark.parametrize(("size", "padding", "dilation"), [(3, 1, 2), (3, 1, 4), (5, 2, 2)])
def test_a_dilated_convolution_has_the_inferred_shape(size, padding, dilation):
    cfg = _conv_cfg(size, 1, padding, dilation)
    assert infer_shapes(cfg)[0][1:] == _torch_hw(size, 1, padding, dilation)


@pytest.mark.parametrize(("size", "padding", "dilation"), [(3, 0, 2), (2, 1, 2), (5, 1, 3)])
def test_a_dilation_that_changes_the_size_is_refused(size, padding, dilation):
    with pytest.raises(CfgError, match=f"dilation={dilation} needs an odd size and pad=1"):
        _conv_cfg(size, 1, padding, dilation)


def test_memory_traffic_is_shufflenet_v2_s_formula():
    """hw (c1 + c2) + c1 c2 values for a 1x1 convolution, and a bias for each of c2."""
    cfg = parse("[net]\nwidth=7\nheight=5\nchannels=24\n[convolutional]\nfilters=48\nsize=1\n")
    assert totals(cfg).traffic_bytes == 4 * (35 * (24 + 48) + 24 * 48 + 48)
    added = parse(
        "[net]\nwidth=7\nheight=5\nchannels=3\n[convolutional]\nfilters=3\n[shortcut]\nfrom=-1\n"
        "[route]\nlayers=-1\n[dropout]\n"
    )
    costs = measure(added)
    assert [c.traffic_bytes for c in costs[1:]] == [4 * 3 * 35 * 3, 0, 0]


# --- the textbook's sums --------------------------------------------------------------------------


def _macs(*sections: str, width: int = 112, channels: int = 64) -> int:
    net = f"[net]\nwidth={width}\nheight={width}\nchannels={channels}\n"
    return totals(parse(net + "".join(f"[convolutional]\n{s}\n" for s in sections))).macs


def test_a_depthwise_separable_convolution_costs_a_share_of_one_nth_and_one_ninth():
    """D_F = 112, M = 64, N = 128, D_K = 3 (Howard et al., MobileNets, 2017)."""
    standard = _macs("filters=128\nsize=3\npad=1")
    separable = _macs("filters=64\nsize=3\npad=1\ngroups=64", "filters=128\nsize=1")
    assert (standard, separable) == (924_844_032, 109_985_792)
    assert separable / standard == pytest.approx(1 / 128 + 1 / 3**2)


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_a_group_convolution_costs_one_gth(groups):
    whole = _macs("filters=128\nsize=3\npad=1")
    assert _macs(f"filters=128\nsize=3\npad=1\ngroups={groups}") * groups == whole


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_ghost_module_is_about_s_times_cheaper_and_smaller(ratio):
    """n / s filters by the convolution, (s - 1) n / s by cheap 3x3 ones (Han et al., 2020)."""
    n, c, k, d = 240, 96, 3, 3
    standard = _macs(f"filters={n}\nsize={k}\npad=1", channels=c, width=28)
    primary = n // ratio
    ghosts = "".join(
        f"[route]\nlayers=0\n[convolutional]\nfilters={primary}\nsize={d}\npad=1\ngroups={primary}\n"
        for _ in range(ratio - 1)
    )
    text = (
        f"[net]\nwidth=28\nheight=28\nchannels={c}\n[convolutional]\nfilters={primary}\nsize={k}\n"
        f"pad=1\n{ghosts}[route]\nlayers={','.join(str(2 * i) for i in range(ratio))}\n"
    )
    ghost = parse(text)
    assert infer_shapes(ghost)[-1].channels == n
    speed_up = standard / totals(ghost).macs
    # r_s = n c k^2 / (n/s c k^2 + (s - 1) n/s d^2) = s c k^2 / (c k^2 + (s - 1) d^2)
    assert speed_up == pytest.approx(ratio * c * k**2 / (c * k**2 + (ratio - 1) * d**2))
    assert speed_up == pytest.approx(ratio, rel=0.04)
    whole = parse(text.split("[route]")[0].replace(f"filters={primary}", f"filters={n}"))
    assert totals(whole).parameters / totals(ghost).parameters == pytest.approx(ratio, rel=0.05)
