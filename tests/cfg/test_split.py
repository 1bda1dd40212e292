"""A section becomes several, and everybody reads what they read before."""

from __future__ import annotations

import pytest
from kitchen_sink import SMALL_NETWORKS

from yolo_slim.cfg import IMAGE, Connected, Conv, infer_shapes, parse, render
from yolo_slim.cfg.links import reads
from yolo_slim.cfg.split import split
from yolo_slim.errors import CfgError


def in_two(section: Conv | Connected):
    """A section that keeps the shape, and the section."""
    return Conv(filters=3, activation="linear"), section


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_readers_follow_the_last_of_a_row(name):
    cfg = SMALL_NETWORKS[name]()
    shared = {s.share_index for s in cfg if isinstance(s, Conv)}
    plain = [
        index for index, s in enumerate(cfg)
        if isinstance(s, Conv) and s.groups == 1 and s.share_index is None and index not in shared
    ]  # fmt: skip
    parts = {index: in_two(cfg[index]) for index in plain[::2]}
    longer, moved = split(cfg, parts)
    assert len(longer) == len(cfg) + len(parts) and parts
    shapes, new_shapes = infer_shapes(cfg), infer_shapes(longer)
    for index in range(len(cfg)):
        assert new_shapes[moved[index]] == shapes[index]
        first = moved[index] - (index in parts)  # of the row
        expected = [IMAGE if link == IMAGE else moved[link] for link in reads(cfg, index)]
        assert list(reads(longer, first)) == expected
    assert parse(render(longer)) == longer


def test_of_nothing_is_the_same():
    cfg = SMALL_NETWORKS["kitchen sink"]()
    assert split(cfg, {}) == (cfg, {index: index for index in range(len(cfg))})


def test_a_row_that_does_not_fit_is_refused():
    cfg = SMALL_NETWORKS["kitchen sink"]()
    with pytest.raises(CfgError, match="reads 3 channels, expected 2 anchors"):
        split(cfg, {34: (Conv(filters=14), Conv(filters=3))})
