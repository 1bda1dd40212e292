"""What is passed as read by OpenCV agrees with torch; what is named as misread does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detectors import READ_STEMS
from kitchen_sink import conv

from yolo_slim.cfg import DARKNET_ACTIVATIONS, parse, read_cfg
from yolo_slim.errors import InputError
from yolo_slim.pipeline.darknet_pair import write_darknet_pair
from yolo_slim.runtime.opencv import OpencvSession
from yolo_slim.runtime.opencv_reads import misread
from yolo_slim.runtime.session import NetworkSession
from yolo_slim.weights import network_of

HEAD = (
    "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=4,5, 9,8\nclasses=2\nnum=2\n"
)
GATE = "[avgpool]\n[convolutional]\nfilters=6\nactivation=logistic\n[scale_channels]\nfrom=0\n"
POOL = conv(6) + "[maxpool]\n"
TWO, THREE = conv(6) * 2, conv(6) * 3
SHORTCUT = "[shortcut]\nfrom=-2\n"
UP, CROP = "[upsample]\nstride=2\n", "[crop]\ncrop_height=16\ncrop_width=16\n"

READ = {
    "relu": conv(6, activation="relu"), "tanh": conv(6, activation="tanh"),
    "mish": conv(6, activation="mish"), "swish": conv(6, activation="swish"),
    "logistic": conv(6, activation="logistic"),
    "no padding": conv(6).replace("pad=1\n", ""), "even kernel": conv(6, 4),
    "padding": conv(6).replace("pad=1", "padding=2"), "groups": conv(6) + conv(12) + "groups=3\n",
    "shortcut": TWO + SHORTCUT, "shortcut to a wider map": conv(8) + conv(6) + SHORTCUT,
    "shortcut to a narrower map": conv(6) + conv(8) + SHORTCUT,
    "shortcut, leaky": TWO + SHORTCUT + "activation=leaky\n",
    "route": TWO + "[route]\nlayers=-1,-2\n",
    "route of a half": conv(6) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n",
    "maxpool": POOL + "size=2\nstride=2\n", "maxpool, stride 1": POOL + "size=5\nstride=1\n",
    "maxpool, padding": POOL + "size=3\nstride=2\npadding=1\n", "maxpool, defaults": POOL,
    "upsample": conv(6) + UP, "reorg": conv(8) + "[reorg]\nstride=2\n", "gate": conv(6) + GATE,
    "sam": TWO + "[sam]\nfrom=-2\n", "dropout": conv(6) + "[dropout]\n",
    "cost": conv(6) + "[cost]\n", "crop": CROP + "noadjust=1\n" + conv(6),
    "softmax": conv(6) + "[softmax]\nspatial=1\n",
}  # fmt: skip
KNOWN = ("linear", "leaky", "relu", "logistic", "tanh", "mish", "swish")
MISREAD = {
    **{name: conv(6, activation=name) for name in DARKNET_ACTIVATIONS if name not in KNOWN},
    "stride_x": TWO + "stride_x=2\n", "dilation": TWO + "dilation=2\n",
    "share_index": THREE + "share_index=1\n", "xnor": TWO + "xnor=1\n",
    "from several layers": THREE + "[shortcut]\nfrom=-2,-3\n",
    "from a larger map": conv(6) + conv(6, stride=2) + SHORTCUT,
    "weights_type": TWO + SHORTCUT + "weights_type=per_channel\n",
    "groups of several layers": conv(6) + conv(8) + "[route]\nlayers=-1,-2\ngroups=2\n",
    "stride_x, stride_y": POOL + "stride=2\nstride_x=1\n",
    "maxpool_depth": POOL + "maxpool_depth=1\nout_channels=3\n",
    "[local_avgpool]": conv(6) + "[local_avgpool]\nsize=3\nstride=1\n",
    "scale": conv(6) + UP + "scale=0.5\n", "[reorg3d]": conv(6) + "[reorg3d]\nstride=2\n",
    "scale_wh": conv(6) + conv(1, 1, activation="logistic")
    + "[scale_channels]\nfrom=0\nscale_wh=1\n",
    "[batchnorm]": conv(6) + "[batchnorm]\n", "without noadjust": CROP + conv(6),
    "[activation]": conv(6) + "[activation]\nactivation=leaky\n",
    "[local]": conv(6) + "[local]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n",
    "over a whole map": conv(6) + "[softmax]\n",
}  # fmt: skip
# Without a head: the last section's output is compared.
CLASSIFIERS = {
    "connected": conv(6) + "[connected]\noutput=7\nactivation=leaky\n[softmax]\n",
    "pooled": conv(6) + "[avgpool]\n[softmax]\n[cost]\n",
}
MISREAD_CLASSIFIERS = {
    "batch_normalize": conv(6) + "[connected]\nbatch_normalize=1\noutput=7\nactivation=leaky\n",
    "groups, temperature": conv(6) + "[avgpool]\n[softmax]\ntemperature=3\n",
}


def made(text):
    return parse(f"[net]\nwidth=24\nheight=16\nchannels=3\nbn_eps=1e-6\n{text}", "made.cfg")


def assert_opencv_is_torch(cfg, random_bundle, folder):
    bundle = random_bundle(cfg, dtype=torch.float32)
    pair = write_darknet_pair(bundle, folder / "net", reader="opencv")
    x = np.random.default_rng(0).random((2, 3, *cfg.input_hw), np.float32)
    ours = NetworkSession(network_of(cfg, bundle.weights)).run(x)
    for a, b in zip(ours, OpencvSession(pair, cfg, (), 1).run(x), strict=True):
        assert a.shape == b.shape and np.std(a) > 1e-4
        assert np.abs(a - b).max() <= 1e-4 * max(1.0, np.abs(a).max())


CASES = {name: text + HEAD for name, text in READ.items()} | CLASSIFIERS
MISREAD_CASES = {name: text + HEAD for name, text in MISREAD.items()} | MISREAD_CLASSIFIERS


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_what_torch_computes(name, random_bundle, tmp_path):
    cfg = made(CASES[name])
    assert misread(cfg) == []
    assert_opencv_is_torch(cfg, random_bundle, tmp_path)


@pytest.mark.parametrize("name", MISREAD_CASES)
def test_what_is_misread_is_named_and_is_really_misread(name, random_bundle, tmp_path):
    cfg = made(MISREAD_CASES[name])
    (told,) = misread(cfg)
    assert told.startswith("made.cfg:") and name in told
    with pytest.raises((AssertionError, InputError)):
        assert_opencv_is_torch(cfg, random_bundle, tmp_path)


def test_every_public_cfg_that_opencv_does_not_read(shared_root):
    """See tests/nn/test_opencv_parity.py, which asks OpenCV itself."""
    named = {stem for stem in READ_STEMS if misread(read_cfg(shared_root / f"cfg/{stem}.cfg"))}
    assert named == {
        "AlexeyAB/Gaussian_yolov3_BDD", "AlexeyAB/t1.test", "AlexeyAB/yolo9000",
        "AlexeyAB/yolov4-sam-mish-csp-reorg-bfm", "pjreddie/t1.test", "pjreddie/yolo9000",
        "pjreddie/yolov1-tiny", "pjreddie/yolov1", "AlexeyAB/resnet152_trident",
        "AlexeyAB/tiny-yolo_xnor", "AlexeyAB/yolov3-tiny_xnor",
    }  # fmt: skip
