"""Detectors whose maps stay of size 1 and never constant, so that a wrong channel shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.nn.blocks import ShortcutBlock
from yolo_slim.nn.network import Network
from yolo_slim.weights import weights_of


def _images(cfg: Cfg, batch: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    coarse = torch.rand(batch, cfg.net.channels, 5, 5, generator=generator).double()
    fine = torch.rand(batch, cfg.net.channels, *cfg.input_hw, generator=generator).double()
    smooth = nn.functional.interpolate(coarse, cfg.input_hw, mode="bilinear", align_corners=False)
    return 0.6 * smooth + 0.4 * fine


def _bundle(cfg: Cfg, seed: int = 0) -> Bundle:
    generator = torch.Generator().manual_seed(seed)

    def rand(n: int) -> Tensor:
        return torch.rand(n, generator=generator).double()

    network = Network(cfg).double().train()
    heads = cfg.head_convs
    for name, module in network.named_modules():
        with torch.no_grad():
            match module:
                case nn.Conv2d() | nn.Linear():
                    gain = 1.0 if int(name.split(".")[0]) in heads else 2.0
                    drawn = torch.randn(module.weight.shape, generator=generator)
                    module.weight.copy_(drawn * (gain / module.weight[0].numel()) ** 0.5)
                    if module.bias is not None:
                        module.bias.zero_()
                case nn.BatchNorm2d():
                    n = module.num_features
                    sign = torch.where(rand(n) < 0.15, -1.0, 1.0)
                    module.weight.copy_(sign * (0.05 + 0.95 * rand(n)))
                    module.bias.copy_(rand(n) - 0.4)
                    module.momentum = 1.0
                case ShortcutBlock() if module.weight is not None:
                    drawn = torch.rand(module.weight.shape, generator=generator)
                    module.weight.copy_(0.5 + drawn)
    with torch.no_grad():  # one pass writes statistics that fit the maps
        network(_images(cfg, 4, seed + 100))
    weights = weights_of(network)
    for key, value in weights.items():
        if key.endswith("running_var"):
            weights[key] = (value * (0.5 + rand(len(value)))).clamp(min=1e-2)
    for key, value in weights.items():
        if key.endswith("running_mean"):
            spread = weights[key.replace("mean", "var")].sqrt()
            weights[key] = value + (rand(len(value)) - 0.5) * spread
    return Bundle(cfg, {key: tensor.contiguous() for key, tensor in weights.items()})


@pytest.fixture(scope="session")
def lively_bundle() -> Callable[..., Bundle]:
    """lively_bundle(cfg, seed): float64; gamma 0..1, some negative, heads without a prior."""
    return _bundle


@pytest.fixture(scope="session")
def lively_images() -> Callable[..., Tensor]:
    """lively_images(cfg, batch, seed): float64 images with coarse and fine structure."""
    return _images
