"""A .weights file comes back bit for bit, in either header, or is refused with both counts."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from core_zoo import COMPUTED
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.cfg import parse, read_cfg, totals
from yolo_slim.darknet_weights import (
    read_darknet_backbone,
    read_darknet_weights,
    write_darknet_weights,
)
from yolo_slim.errors import WeightsError
from yolo_slim.zoo import build

CFG = parse(
    "[net]\nwidth=8\nheight=8\n[convolutional]\nbatch_normalize=1\nfilters=2\nsize=1\n"
    "[convolutional]\nfilters=1\nsize=1\n", "mine.cfg"
)  # fmt: skip
# beta 2, gamma 2, mean 2, variance 2, kernel 2x3; bias 1, kernel 1x2
FLOATS = np.arange(1, 18, dtype="<f4")
NEW = struct.pack("<iiiQ", 0, 2, 5, 7_000_000_000)
OLD = struct.pack("<iiiI", 0, 1, 0, 32_000)


@pytest.mark.parametrize("name", COMPUTED)
def test_written_and_read_bit_for_bit(name, random_bundle, tmp_path):
    cfg = build(name, 3)
    weights = random_bundle(cfg, dtype=torch.float32).weights
    path = tmp_path / "a.weights"
    write_darknet_weights(path, cfg, weights, seen=1 << 40)
    again, seen = read_darknet_weights(path, cfg)
    assert seen == 1 << 40
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[k], weights[k]) for k in weights)
    assert path.stat().st_size == 20 + 4 * totals(cfg).weights_file_floats
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("header", "seen"), [(NEW, 7_000_000_000), (OLD, 32_000)], ids=["64", "32"]
)
def test_numbers_lie_in_darknet_s_order(header, seen, tmp_path):
    path = tmp_path / "a.weights"
    path.write_bytes(header + FLOATS.tobytes())
    weights, found = read_darknet_weights(path, CFG)
    assert found == seen
    assert {k: v.flatten().tolist() for k, v in weights.items()} == {
        "0.bn.bias": [1, 2], "0.bn.weight": [3, 4], "0.bn.running_mean": [5, 6],
        "0.bn.running_var": [7, 8], "0.conv.weight": [9, 10, 11, 12, 13, 14],
        "1.conv.bias": [15], "1.conv.weight": [16, 17],
    }  # fmt: skip


def _poisoned(value: float) -> bytes:
    numbers = FLOATS.copy()
    numbers[9] = value
    return NEW + numbers.tobytes()


FAULTS = {
    "cut short": (NEW + FLOATS[:-1].tobytes(), ["16 floats", "needs 17", "cut short"]),
    "cut within a number": (NEW + FLOATS.tobytes()[:-2], ["16 floats", "needs 17"]),
    "too long": (NEW + FLOATS.tobytes() + b"\0\0\0\0", ["18 floats", "needs 17", "another cfg"]),
    "a byte too long": (NEW + FLOATS.tobytes() + b"\0", ["17 floats and 1 bytes", "needs 17"]),
    "header alone": (NEW, ["0 floats", "needs 17"]),
    "half a header": (NEW[:10], ["10 bytes", "header"]),
    "no second half of seen": (NEW[:17], ["17 bytes", "20"]),
    "empty": (b"", ["0 bytes", "header"]),
    "nan": (_poisoned(np.nan), ["not finite"]),
    "inf": (_poisoned(np.inf), ["not finite"]),
    "negative variance": (
        NEW + FLOATS[:6].tobytes() + np.float32(-3).tobytes() + FLOATS[7:].tobytes(),
        ["0.bn.running_var", "negative variances"],
    ),
}


def test_a_variance_that_darknet_has_rounded_below_0_is_0(tmp_path):
    numbers = FLOATS.copy()
    numbers[6] = -7.006492321624085e-44  # as in MobileNetV2-YOLO-Fastest-voc.weights
    (tmp_path / "a.weights").write_bytes(NEW + numbers.tobytes())
    weights, _ = read_darknet_weights(tmp_path / "a.weights", CFG)
    assert weights["0.bn.running_var"].tolist() == [0, 8]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_by_name(fault, tmp_path):
    raw, parts = FAULTS[fault]
    path = tmp_path / "bad.weights"
    path.write_bytes(raw)
    with pytest.raises(WeightsError) as caught:
        read_darknet_weights(path, CFG)
    assert str(caught.value).startswith(f"{path}: ")
    for part in parts:
        assert part in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.weights", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            read_darknet_weights(path, CFG)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.weights"
    with path.open("wb") as file:
        file.write(NEW)
        file.truncate(1 << 40)
    with pytest.raises(WeightsError, match="needs 17"):
        read_darknet_weights(path, CFG)


# --- backbones and other sections -----------------------------------------------------------------


def test_a_backbone_file_fills_the_sections_that_it_holds(tmp_path, random_bundle):
    cfg = build("yolov3-tiny", 3)
    weights = random_bundle(cfg, dtype=torch.float32).weights
    # darknet partial yolov3-tiny.cfg yolov3-tiny.weights yolov3-tiny.conv.15 15
    front = replace(cfg, sections=cfg.sections[:15])
    path = tmp_path / "yolov3-tiny.conv.15"
    write_darknet_weights(path, front, weights)
    found, n_sections = read_darknet_backbone(path, cfg)
    assert n_sections == 15
    assert found.keys() == {k for k in weights if int(k.split(".")[0]) < 15}
    assert all(torch.equal(found[k], weights[k]) for k in found)
    with pytest.raises(WeightsError, match="--backbone-weights"):
        read_darknet_weights(path, cfg)


def test_a_backbone_that_ends_inside_a_section_is_refused(tmp_path, random_bundle):
    path = tmp_path / "a.conv.1"
    path.write_bytes(NEW + FLOATS[:15].tobytes())
    with pytest.raises(WeightsError, match=r"15 floats.*inside of mine.cfg:8 \[convolutional\]"):
        read_darknet_backbone(path, CFG)
    path.write_bytes(NEW)
    with pytest.raises(WeightsError, match="0 floats"):
        read_darknet_backbone(path, CFG)


def test_the_real_backbone_files_fill_57_sections(shared_root):
    files = sorted((shared_root / "weights").rglob("*.57"))
    assert len(files) == 2
    for path in files:
        cfg_path = min(path.parent.rglob("*.cfg"))
        _, n_sections = read_darknet_backbone(path, read_cfg(cfg_path))
        assert n_sections >= 57


@pytest.mark.parametrize("version", [(0, 2, 5), (1001, 0, 0)], ids=["rows", "columns"])
def test_a_connected_kernel_lies_between_beta_and_gamma(version, tmp_path):
    cfg = parse("[net]\nwidth=2\nheight=1\nchannels=1\n[connected]\nbatch_normalize=1\noutput=3\n")
    header = NEW if version[0] == 0 else struct.pack("<iiiI", *version, 0)
    path = tmp_path / "a.weights"
    path.write_bytes(header + np.arange(18, dtype="<f4").tobytes())
    weights, _ = read_darknet_weights(path, cfg)
    assert weights["0.bn.bias"].tolist() == [0, 1, 2]
    rows = [[3, 4], [5, 6], [7, 8]] if version[0] == 0 else [[3, 6], [4, 7], [5, 8]]
    assert weights["0.connected.weight"].tolist() == rows
    assert weights["0.bn.weight"].tolist() == [9, 10, 11]
    assert weights["0.bn.running_mean"].tolist() == [12, 13, 14]


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_every_section_is_written_and_read_bit_for_bit(name, random_bundle, tmp_path):
    cfg = SMALL_NETWORKS[name]()
    weights = random_bundle(cfg, dtype=torch.float32).weights
    write_darknet_weights(tmp_path / "a.weights", cfg, weights)
    again, _ = read_darknet_weights(tmp_path / "a.weights", cfg)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[k], weights[k]) for k in weights)
