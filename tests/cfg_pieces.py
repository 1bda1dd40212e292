"""Sections that tests of the cfg reader put together."""

from __future__ import annotations

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask=0,1,2\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n"
