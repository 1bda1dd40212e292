"""What a head reads is exact, however it gets there; what reads on from it has ranges that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from yolo_slim.cfg import Cfg, head_maps, parse
from yolo_slim.errors import InputError
from yolo_slim.export.onnx_model import export_onnx
from yolo_slim.factorize.sites import HEAD as READ_BY_A_HEAD
from yolo_slim.factorize.sites import find_sites
from yolo_slim.prune.masks import left_alone
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.quantize.plan import decide, int8_convs, ranged_outputs
from yolo_slim.weights import network_of

NET = "[net]\nwidth=32\nheight=32\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=14\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask=0,1\nanchors=5,5,9,9\nclasses=2\n"

BETWEEN = {
    "nothing": "",
    "dropout": "[dropout]\n",
    "route": "[route]\nlayers=-1\n",
    "linear": "[activation]\nactivation=linear\n",
    "maxpool": "[maxpool]\nsize=2\nstride=1\n",
    "two of them": "[dropout]\n[shuffle]\ngroups=7\n",
}


def detector(between: str = "", more: str = "") -> Cfg:
    return parse(NET + CONV + HEAD + between + YOLO + more)


def batch(seed: int = 0) -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_a_head_is_float_whatever_moves_its_map(between, random_bundle, tmp_path):
    cfg = detector(between)
    assert int8_convs(cfg) == (0,)
    assert ranged_outputs(cfg) == (0,)
    assert left_alone(cfg, "weight")[1] == "read by a head"
    assert find_sites(cfg)[1].whole == READ_BY_A_HEAD
    int8 = quantize(random_bundle(cfg, dtype=torch.float32), [batch()])
    export_onnx(int8, tmp_path / "a.onnx", int8="cpu", dynamic_batch=True)
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    (raw,) = session.run(None, {"images": batch(1).numpy()})
    assert len(np.unique(raw)) > 256  # of no grid


def test_what_computes_is_no_way_to_a_head():
    assert int8_convs(detector("[activation]\nactivation=leaky\n")) == (0, 1)


def test_a_map_that_another_reads_keeps_its_range():
    """0 is read by convolution 1 and, through a route, by the second head."""
    cfg = detector(more="[route]\nlayers=0\n" + YOLO)
    assert head_maps(cfg) == {0, 1, 3}
    assert head_maps(cfg, alone=True) == {1, 3}
    assert ranged_outputs(cfg) == (0,)


def test_a_join_with_a_head_holds_what_the_head_says(random_bundle):
    """Section 1 has no range: that of the join is no more section 0's alone."""
    cfg = detector(more="[route]\nlayers=1,0\n" + CONV + HEAD + YOLO)
    bundle = random_bundle(cfg, dtype=torch.float32)
    weights = {**bundle.weights, "1.conv.bias": bundle.weights["1.conv.bias"] - 9}
    int8 = quantize(replace(bundle, weights=weights), [batch()])
    network = network_of(int8.cfg, int8.weights)
    with torch.no_grad():
        lowest = float(network.forward_with_taps(batch(), (3,))[1][3].min())
    assert lowest < -8
    assert int8.precision.outputs[3].low < 0.8 * lowest


def test_a_convolution_that_reads_a_head_is_float(random_bundle):
    cfg = detector(more=CONV + HEAD + YOLO)
    decision = decide(cfg)[3]
    assert not decision.int8
    assert "has no range" in decision.reason
    int8 = quantize(random_bundle(cfg, dtype=torch.float32), [batch()])
    assert set(int8.precision.convs) == {0}


def test_what_is_float_anyway_may_be_asked_for():
    assert "head" in decide(detector(), keep_float=(1,))[1].reason
    with pytest.raises(InputError, match=r"section 2 .* is yolo, not a convolution"):
        decide(detector(), keep_float=(2,))
