"""Steps of kernels hold what they must, and biases fit their 32 bits."""

from __future__ import annotations

import pytest
import torch

from yolo_slim.quantize.weight_scales import INT32_BIAS_LIMIT, LIMIT, rounded, weight_scales


@pytest.fixture
def kernel() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, 3, 3, generator=draw) ** 3


def test_max_clips_nothing(kernel):
    scales = weight_scales(kernel, torch.zeros(6), 0.1)
    error = (rounded(kernel, scales) - kernel).abs().flatten(1).amax(dim=1)
    assert (error <= scales / 2 * 1.0001).all()


@pytest.mark.parametrize(("numbers_a_row", "gains"), [(36, False), (200_000, True)])
def test_mse_is_never_worse_than_max(numbers_a_row, gains):
    """Few numbers reach the end of their range together; of many the last may be clipped."""
    kernel = torch.randn(3, numbers_a_row, 1, 1, generator=torch.Generator().manual_seed(0))

    def error(how):
        scales = weight_scales(kernel, torch.zeros(3), 0.1, how)
        return (rounded(kernel, scales) - kernel).square().flatten(1).sum(dim=1)

    assert (error("mse") <= error("max") * 1.0001).all()
    assert bool((error("mse") < error("max") * 0.98).any()) is gains


def test_the_grid_has_255_steps(kernel):
    scales = weight_scales(kernel, torch.zeros(6), 0.1, "mse")
    steps = rounded(kernel, scales) / scales.float().view(-1, 1, 1, 1)
    assert steps.abs().max() <= LIMIT * 1.0001
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_a_large_bias_raises_the_step(kernel):
    bias = torch.tensor([0.0, 1e9, -1e9, 1.0, 0.0, 0.0])
    scales = weight_scales(kernel, bias, 1e-3)
    assert (bias.abs() / (scales * 1e-3) <= INT32_BIAS_LIMIT * 1.0001).all()


def test_a_kernel_of_zeros_has_a_step():
    assert (weight_scales(torch.zeros(2, 3, 1, 1), torch.zeros(2), 0.1, "mse") > 0).all()
