"""Every public detector that is read also builds and runs forward on a random image."""

import pytest
import torch
from detectors import READ_STEMS

from yolo_slim.cfg import Connected, Local, infer_shapes, read_cfg, resize, totals
from yolo_slim.errors import CfgError
from yolo_slim.nn.network import Network

LARGE = 15_000_000
"""Parameters above which a network is built in the slow run alone."""


def at_a_small_size(cfg):
    """The smallest of some sizes that its strides allow; the cfg's own where a matrix fixes it."""
    if any(isinstance(section, Connected | Local) for section in cfg):
        return cfg
    for side in (64, 128, 256, 512):
        try:
            return resize(cfg, side, side)
        except CfgError:
            continue
    return cfg


def run(cfg):
    network = Network(cfg).eval()
    with torch.no_grad():
        raws = network(torch.rand(1, cfg.net.channels, *cfg.input_hw))
    shapes = infer_shapes(cfg)
    assert [tuple(raw.shape[1:]) for raw in raws] == [
        tuple(shapes[cfg.links(i)[0]]) for i in cfg.head_indices
    ]
    assert all(torch.isfinite(raw).all() for raw in raws)


@pytest.mark.parametrize("stem", READ_STEMS)
def test_a_small_detector_runs(stem, shared_root):
    cfg = read_cfg(shared_root / f"cfg/{stem}.cfg")
    if totals(cfg).parameters <= LARGE:
        run(at_a_small_size(cfg))


@pytest.mark.slow
@pytest.mark.parametrize("stem", READ_STEMS)
def test_every_detector_runs(stem, shared_root):
    run(at_a_small_size(read_cfg(shared_root / f"cfg/{stem}.cfg")))
