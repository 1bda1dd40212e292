"""What the tests of several floors make: random detectors that are worth comparing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle, head_convs
from yolo_slim.cfg import Cfg, Conv
from yolo_slim.nn.network import Network
from yolo_slim.weights import weights_of

SHARED = Path(__file__).resolve().parents[2] / "shared"
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))

torch.set_num_threads(THREADS)
cv2.setNumThreads(THREADS)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and data; where it is absent tests are skipped, in CI they fail."""
    if not SHARED.is_dir():
        message = f"real models and data are not at {SHARED}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


def _varied_images(cfg: Cfg, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    size = (cfg.net.height, cfg.net.width)
    coarse = torch.rand(batch, cfg.net.channels, 5, 5, generator=generator)
    fine = torch.rand(batch, cfg.net.channels, *size, generator=generator)
    smooth = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return 0.6 * smooth + 0.4 * fine


def _random_bundle(cfg: Cfg, seed: int = 0, dtype: torch.dtype = torch.float64) -> Bundle:
    generator = torch.Generator().manual_seed(seed)

    def rand(n: int) -> Tensor:
        return torch.rand(n, generator=generator).double()

    network = Network(cfg).double().train()
    heads = head_convs(cfg)
    for index, section in enumerate(cfg):
        if not isinstance(section, Conv):
            continue
        block = network.get_submodule(str(index))
        kernel = block.conv.weight
        fan_in = kernel[0].numel()
        gain = 1.0 if index in heads else 2.0
        with torch.no_grad():
            drawn = torch.randn(kernel.shape, generator=generator)
            kernel.copy_(drawn * (gain / fan_in) ** 0.5)
            if block.conv.bias is not None:
                block.conv.bias.zero_()
            if block.bn is not None:
                n = section.filters
                sign = torch.where(rand(n) < 0.15, -1.0, 1.0)
                block.bn.weight.copy_(sign * (0.05 + 0.95 * rand(n)))
                block.bn.bias.copy_(rand(n) - 0.4)
                block.bn.momentum = 1.0
    # One pass writes statistics that fit the maps: activations stay of size 1 through any depth.
    with torch.no_grad():
        network(_varied_images(cfg, 4, seed).double())
    weights = weights_of(network)
    for key in weights:
        if key.endswith("running_var"):
            n = len(weights[key])
            weights[key] = (weights[key] * (0.5 + rand(n))).clamp(min=1e-2)
        elif key.endswith("running_mean"):
            spread = weights[key.replace("mean", "var")].sqrt()
            weights[key] = weights[key] + (rand(len(spread)) - 0.5) * spread
    return Bundle(cfg, {key: tensor.to(dtype).contiguous() for key, tensor in weights.items()})


@pytest.fixture(scope="session")
def random_bundle() -> Callable[..., Bundle]:
    """random_bundle(cfg, seed, dtype): random statistics, gamma (some negative) and beta, heads
    with kernels of real size and no bias, activations of size about 1."""
    return _random_bundle


@pytest.fixture(scope="session")
def varied_images() -> Callable[..., Tensor]:
    """varied_images(cfg, batch, seed): images with coarse and fine structure, 0..1, float32."""
    return _varied_images
