"""Training keys are read with Darknet's meaning; what is no value is told with its place."""

from __future__ import annotations

import pytest

from yolo_slim.cfg import head_keys, net_keys, parse
from yolo_slim.errors import CfgError

CFG = """[net]
width=64
height=64
channels=3
{net}
[convolutional]
filters=8
size=1
stride=64
activation=linear
[yolo]
mask=0
anchors=10,10
classes=3
{yolo}
"""


def cfg_of(net: str = "", yolo: str = ""):
    return parse(CFG.format(net=net, yolo=yolo), "a.cfg")


def test_a_silent_cfg_says_nothing():
    assert head_keys(cfg_of())[0].iou_loss is None
    keys = net_keys(cfg_of())
    assert keys.batch is None and keys.learning_rate is None and keys.hue is None
    assert (keys.momentum, keys.decay, keys.policy, keys.multi_scale) == (
        0.9,
        0.0001,
        "constant",
        1,
    )


def test_keys_are_read():
    net = "batch=64\nsubdivisions=8\nlearning_rate=.0013\nburn_in=1000\nmax_batches=500\n"
    net += "policy=steps\nsteps=400,450\nscales=.1,.1\nhue=.1\nmosaic=1"
    keys = net_keys(cfg_of(net, "random=1"))
    assert (keys.batch, keys.subdivisions, keys.learning_rate) == (64, 8, 0.0013)
    assert (keys.policy, keys.steps, keys.scales) == ("steps", (400, 450), (0.1, 0.1))
    assert (keys.hue, keys.mosaic, keys.multi_scale) == (0.1, True, 1.4)
    (head,) = head_keys(cfg_of(yolo="iou_loss=ciou\ncls_normalizer=0.5\nlabel_smooth_eps=0.1"))
    assert (head.iou_loss, head.cls_normalizer, head.label_smooth_eps) == ("ciou", 0.5, 0.1)


@pytest.mark.parametrize(("random", "factor"), [("0", 1), ("1", 1.4), ("1.2", 1.2), ("0.5", 1)])
def test_random_is_a_factor(random, factor):
    assert net_keys(cfg_of(yolo=f"random={random}")).multi_scale == factor


@pytest.mark.parametrize(
    ("net", "yolo", "told"),
    [
        ("learning_rate=fast", "", "learning_rate=fast: expected a number"),
        ("policy=magic", "", "policy=magic: expected one of"),
        ("batch=0", "", "batch=0: expected a whole number from 1"),
        ("", "iou_loss=eiou", "iou_loss=eiou: expected one of mse, iou"),
        ("", "focal_loss=yes", "focal_loss=yes: expected a number"),
    ],
)
def test_what_is_no_value_is_told(net, yolo, told):
    with pytest.raises(CfgError, match=told) as caught:
        cfg = cfg_of(net, yolo)
        net_keys(cfg), head_keys(cfg)
    assert str(caught.value).startswith("a.cfg:")
