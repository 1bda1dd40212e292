"""The two steps towards 0: where they end, and that a group of one is a gamma alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_slim.train.shrink import STEPS, Groups, proximal, subgradient


def same(n: int, amount: float) -> torch.Tensor:
    return torch.full((n,), amount, dtype=torch.float64)


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.3, 5.0])
def test_alone_it_is_the_proximal_step_of_the_absolute_value(amount):
    """argmin over z of amount |z| + (z - gamma)^2 / 2, found by search."""
    gammas = torch.linspace(-1, 1, 21, dtype=torch.float64)
    grid = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    cost = amount * grid.abs() + (grid - gammas[:, None]) ** 2 / 2
    expected = grid[cost.argmin(dim=1)]
    found = proximal(gammas, same(21, amount), Groups.alone(21))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def minimiser(gammas: torch.Tensor, amount: float) -> torch.Tensor:
    """argmin of amount sqrt(k) ||z|| + ||z - gammas||^2 / 2, by gradient descent on a smooth norm:
    it knows nothing of thresholds."""
    z = gammas.clone()
    weight = amount * len(gammas) ** 0.5
    for smooth in (1e-2, 1e-4, 1e-6):
        rate = 1 / (1 + weight / smooth)
        for _ in range(3000):
            z = z - rate * (weight * z / (z.square().sum() + smooth**2).sqrt() + z - gammas)
        rate = 0.05
        for _ in range(300):
            step = weight * z / (z.square().sum() + smooth**2).sqrt() + z - gammas
            better = z - rate * step
            z = better if cost(better, gammas, amount) < cost(z, gammas, amount) else z
    return z


def cost(z: torch.Tensor, gammas: torch.Tensor, amount: float) -> torch.Tensor:
    return amount * len(gammas) ** 0.5 * z.norm() + (z - gammas).square().sum() / 2


@pytest.mark.parametrize("amount", [0.05, 0.3, 0.61, 2.0])
def test_together_it_is_the_argmin_of_its_objective(amount):
    """[0.9, -0.5, 0.3] has norm 1.07: it dies from amount 1.07 / sqrt(3) = 0.62 on."""
    gammas = torch.tensor([0.9, -0.5, 0.3], dtype=torch.float64)
    found = proximal(gammas, same(3, amount), Groups.of(np.zeros(3, int)))
    torch.testing.assert_close(found, minimiser(gammas, amount), atol=2e-3, rtol=0)
    draw = torch.Generator().manual_seed(0)
    for scale in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(50):
            other = found + scale * torch.randn(3, generator=draw, dtype=torch.float64)
            assert cost(found, gammas, amount) <= cost(other, gammas, amount)


def test_a_group_by_hand():
    """3 and 4 have norm 5; amount sqrt(2) times sqrt(2) takes 2 of it: what is left is 3/5."""
    gammas = torch.tensor([3.0, 7.0, -4.0], dtype=torch.float64)
    groups = Groups.of(np.array([0, 1, 0]))
    found = proximal(gammas, same(3, 2**0.5), groups)
    torch.testing.assert_close(found, torch.tensor([1.8, 7 - 2**0.5, -2.4], dtype=torch.float64))
    found = subgradient(gammas, same(3, 2**0.5), groups)
    torch.testing.assert_close(found, torch.tensor([1.8, 7 - 2**0.5, -2.4], dtype=torch.float64))
    assert proximal(gammas, same(3, 3.6), groups).tolist() == [0, pytest.approx(3.4), 0]


def test_groups_of_one_are_gammas_alone():
    gammas = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step in STEPS.values():
        for amount in (0.0, 0.01, 0.5):
            alone = step(gammas, same(40, amount), Groups.of(np.arange(40)))
            if step is proximal:
                scalar = gammas.sign() * (gammas.abs() - amount).clamp(min=0)
            else:
                scalar = gammas - amount * gammas.sign()
            torch.testing.assert_close(alone, scalar, atol=1e-15, rtol=0)


def test_equal_gammas_move_alike_together_or_alone():
    gammas = torch.full((5,), 0.7, dtype=torch.float64)
    for step in STEPS.values():
        found = step(gammas, same(5, 0.1), Groups.of(np.array([0, 0, 1, 0, 2])))
        assert found.tolist() == pytest.approx([0.6] * 5)


def test_the_proximal_step_ends_at_zero_and_the_other_goes_to_and_fro():
    start = torch.tensor([0.055, -0.055, 0.0, 0.25], dtype=torch.float64)
    ends = {}
    for name, step in STEPS.items():
        gammas, groups = start, Groups.alone(4)
        for _ in range(50):
            gammas = step(gammas, same(4, 0.01), groups)
        ends[name] = gammas.tolist()
    assert ends["proximal"] == [0, 0, 0, 0]
    assert [abs(g) for g in ends["sign"][:2]] == pytest.approx([0.005] * 2)
    assert ends["sign"][2] == 0


def test_a_group_of_zeros_stays_there_and_spoils_no_other():
    gammas = torch.tensor([0.0, 0.0, 1.0, 1e-25], dtype=torch.float32)
    groups = Groups.of(np.array([0, 0, 1, 2])).to(gammas)
    for step in STEPS.values():
        found = step(gammas, torch.full((4,), 0.25), groups)
        assert found[:3].tolist() == [0.0, 0.0, 0.75] and torch.isfinite(found).all()
