"""Small networks that together have every section and every activation."""

from yolo_slim.cfg import ACTIVATIONS, Cfg, parse

_CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nstride={}\nactivation={}\n"


def conv(filters: int, size: int = 3, stride: int = 1, activation: str = "leaky") -> str:
    return _CONV.format(filters, size, stride, activation)


_HEAD = "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
_YOLO = "[yolo]\nmask={}\nanchors=4,5, 9,8, 12,16, 20,24\nclasses=2\nnum=4\n"

TEXT = (
    "[net]\nwidth=32\nheight=32\nchannels=3\nmean=.1,.2,.3\nstd=.5,.6,.7\n"
    + conv(8, stride=2)  # 0
    + conv(8)  # 1
    + conv(8) + "share_index=1\ndilation=2\n"  # 2
    + "[shortcut]\nfrom=-3,-2\nactivation=mish\nweights_type=per_channel\n"
      "weights_normalization=softmax\n"  # 3
    + conv(12)  # 4
    + "[shortcut]\nfrom=3\nactivation=linear\nweights_type=per_feature\n"  # 5: unequal widths
    + "[shuffle]\ngroups=3\n"  # 6
    + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"  # 7
    + conv(6, activation="hswish")  # 8
    + "[batchnorm]\n[activation]\nactivation=relu\n"  # 9, 10
    + "[select]\nchannels=5,0,2,3\n"  # 11
    + conv(4, 1) + "groups=2\n"  # 12
    + "[activation]\nactivation=swish\n"  # 13
    + "[sam]\nfrom=12\n"  # 14
    + conv(1, 1, activation="logistic")  # 15
    + "[scale_channels]\nfrom=14\nscale_wh=1\n"  # 16
    + "[reorg3d]\nstride=2\n"  # 17: 16 x 8 x 8
    + conv(10, 1)  # 18
    + "[avgpool]\n" + "[convolutional]\nfilters=10\nactivation=hsigmoid\n"  # 19, 20
    + "[scale_channels]\nfrom=18\n"  # 21
    + "[local_avgpool]\nsize=3\nstride=1\n"  # 22
    + conv(10) + "groups=10\n"  # 23: depthwise
    + "[upsample]\nstride=2\nscale=0.5\n[maxpool]\nsize=2\nstride=2\n[dropout]\n"  # 24, 25, 26
    + conv(8) + "stride_x=2\n"  # 27: 8 x 8 x 4
    + conv(8) + "[reorg]\nstride=2\n"  # 28, 29: 32 x 4 x 2
    + conv(9, 1) + "[maxpool]\nmaxpool_depth=1\nout_channels=3\n"  # 30, 31
    + conv(8, 1) + conv(8) + "xnor=1\n"  # 32, 33
    + _HEAD + _YOLO.format("2,3")  # 34, 35
    + "[route]\nlayers=26\n" + conv(6, 1) + _HEAD + _YOLO.format("0,1")  # 36..39
)  # fmt: skip


def kitchen_sink() -> Cfg:
    return parse(TEXT, "sink.cfg")


def activations() -> Cfg:
    """A convolution with each activation, and a head that reads all of them."""
    text = "[net]\nwidth=16\nheight=16\nchannels=3\n"
    text += "".join(conv(4, activation=name) for name in ACTIVATIONS)
    layers = ",".join(map(str, range(len(ACTIVATIONS))))
    return parse(f"{text}[route]\nlayers={layers}\n{_HEAD}{_YOLO.format('0,1')}", "acts.cfg")


def yolo_v1() -> Cfg:
    """[crop], [local], [connected] and [detection]."""
    return parse(
        "[net]\nwidth=20\nheight=20\nchannels=3\n[crop]\ncrop_height=16\ncrop_width=16\n"
        + conv(6, stride=2) + conv(5, stride=2)
        + "[local]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n" + conv(6)
        + "[connected]\noutput=12\nactivation=relu\n"
        + "[connected]\nbatch_normalize=1\noutput=8\nactivation=logistic\n[dropout]\n"
        + "[connected]\noutput=27\nactivation=linear\n"
        + "[detection]\ncoords=4\nclasses=22\nside=1\nnum=1\nsqrt=1\nsoftmax=1\n",
        "v1.cfg",
    )  # fmt: skip


def classifier() -> Cfg:
    return parse(
        "[net]\nwidth=16\nheight=16\nchannels=3\n" + conv(6, stride=2, activation="relu")
        + conv(6) + "[shortcut]\nfrom=-2\n[maxpool]\nsize=2\nstride=2\n" + conv(8)
        + "[shortcut]\nfrom=0\n"  # a map twice as large
        + "[avgpool]\n[connected]\noutput=10\nactivation=linear\n[softmax]\n[cost]\n",
        "cls.cfg",
    )  # fmt: skip


SMALL_NETWORKS = {
    "kitchen sink": kitchen_sink,
    "activations": activations,
    "yolo v1": yolo_v1,
    "classifier": classifier,
}
