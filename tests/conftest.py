import os
from pathlib import Path

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg
from yolo_slim.weights import random_weights

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_root() -> Path:
    """The real data beside the repository: tests that need it skip where it is not, never in CI."""
    if not SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED} is absent")
        pytest.skip(f"{SHARED} is absent")
    return SHARED


@pytest.fixture
def random_bundle():
    """A bundle whose numbers are all of a size: random statistics, and heads that are not near
    the constant prior that training starts from."""

    def make(cfg: Cfg, seed: int = 0, dtype: torch.dtype = torch.float64) -> Bundle:
        draw = torch.Generator().manual_seed(seed)
        weights = random_weights(cfg, seed)
        for key, value in weights.items():
            if key.endswith("running_var"):
                weights[key] = torch.rand(value.shape, generator=draw) + 0.5
            elif key.endswith(("running_mean", "bn.bias")):
                weights[key] = torch.randn(value.shape, generator=draw) * 0.3
            elif key.endswith("bn.weight"):
                weights[key] = torch.rand(value.shape, generator=draw) + 0.2
            elif key.endswith("conv.bias"):
                weights[key] = torch.zeros(value.shape)
                kernel = weights[key.replace("bias", "weight")]
                fan_in = kernel[0].numel()
                kernel.copy_(torch.randn(kernel.shape, generator=draw) / fan_in**0.5)
        return Bundle(cfg, {k: v.to(dtype) for k, v in weights.items()})

    return make
