"""Networks of a few layers that tests of the cut's place put together."""

from __future__ import annotations

from yolo_slim.prune.limits import Limits
from yolo_slim.prune.scores import Scoring

NET = "[net]\nwidth=16\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\npad=1\nactivation=leaky\n"
END = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
ADD = "[shortcut]\nfrom=-2\nactivation=linear\n"
SMALL = NET + CONV.format(12) + CONV.format(8) + CONV.format(8) + ADD + CONV.format(6) + END

BY_GAMMA = Scoring("gamma", normalize="layer")
BARE = Limits(layer_keep=0)
