"""A bundle as a Darknet pair: what its reader computes, and what is refused."""

from dataclasses import replace

import pytest
import torch
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse, read_cfg
from yolo_slim.darknet_weights import read_darknet_weights
from yolo_slim.errors import InputError
from yolo_slim.pipeline.darknet_pair import BN_EPS, extensions, write_darknet_pair
from yolo_slim.weights import network_of
from yolo_slim.zoo import build


def outputs(bundle):
    images = torch.rand(2, 3, *bundle.cfg.input_hw, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network_of(bundle.cfg, bundle.weights)(images)


@pytest.mark.parametrize("bn_eps", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("reader", BN_EPS)
def test_a_pair_computes_the_same_under_its_reader_s_epsilon(
    reader, bn_eps, random_bundle, tmp_path
):
    cfg = build("yolov3-nano", 2, 64)
    cfg = replace(cfg, net=replace(cfg.net, bn_eps=bn_eps))
    bundle = random_bundle(cfg, dtype=torch.float32)
    # A channel that sparse training has silenced has hardly any variance.
    bundle.weights["0.bn.running_var"][0] = 1e-7
    pair = write_darknet_pair(bundle, tmp_path / "net", reader)
    again = read_cfg(pair[0])
    assert again.net.bn_eps == BN_EPS[reader]
    weights, _ = read_darknet_weights(pair[1], again)
    for a, b in zip(outputs(bundle), outputs(Bundle(again, weights)), strict=True):
        assert (a - b).abs().max() <= 1e-4 * a.abs().max()
    if bn_eps == BN_EPS[reader]:
        assert all(torch.equal(weights[k], bundle.weights[k]) for k in weights)


CONV = "[convolutional]\nfilters=4\nsize=1\nactivation={}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[net]\nmean=0,0,0\n" + CONV.format("relu"), "[net] mean and std"),
        ("[net]\n" + CONV.format("hswish"), ":2 [convolutional] activation=hswish"),
        ("[net]\n" + CONV.format("relu") + "[shuffle]\ngroups=2\n", ":6 [shuffle]"),
        ("[net]\n" + CONV.format("relu") + "[select]\nchannels=1\n", ":6 [select]"),
    ],
)
def test_what_darknet_does_not_know_is_refused_unless_asked_for(
    text, told, random_bundle, tmp_path
):
    bundle = random_bundle(parse(text, "my.cfg"), dtype=torch.float32)
    with pytest.raises(InputError) as caught:
        write_darknet_pair(bundle, tmp_path / "net")
    assert told in str(caught.value)
    assert "--allow-extensions" in str(caught.value)
    assert not list(tmp_path.iterdir())
    cfg_path, _ = write_darknet_pair(bundle, tmp_path / "net", allow_extensions=True)
    assert read_cfg(cfg_path) == bundle.cfg


def test_extensions_are_listed_place_by_place():
    assert len(extensions(SMALL_NETWORKS["kitchen sink"]())) == 5
    assert not extensions(build("yolov3"))
