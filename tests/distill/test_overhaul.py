"""The overhaul's loss against loops, against a sum written down, and where it must be 0."""

from __future__ import annotations

import pytest
import torch

from yolo_slim.distill.overhaul import (
    Connector,
    Connectors,
    overhaul_loss,
    partial_l2,
    teacher_transform,
)
from yolo_slim.distill.taps import Pair, Tap


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("partial", [True, False])
def test_partial_l2_and_its_slopes_are_the_loop(partial):
    student, target = drawn(0, 2, 3, 4, 5), drawn(1, 2, 3, 4, 5)
    target[0, 0, 0, 0] = student[0, 0, 0, 0] = -0.5
    target[0, 0, 0, 1] = 0.0
    found = partial_l2(student.requires_grad_(), target, partial)
    found.backward()
    total, n = 0.0, student.numel()
    for place in torch.cartesian_prod(*(torch.arange(n) for n in student.shape)).tolist():
        s, t = student[tuple(place)].item(), target[tuple(place)].item()
        away = 0.0 if partial and s <= t <= 0 else s - t
        total += away**2
        assert student.grad[tuple(place)].item() == pytest.approx(2 * away / n, abs=1e-15)
    assert found.item() == pytest.approx(total / n, rel=1e-12)


def test_below_the_margin_the_student_is_not_pulled():
    student = torch.tensor([-2.0, -0.5, 0.5]).requires_grad_()
    target = teacher_transform(torch.full((1, 1, 1, 3), -9.0), torch.tensor([-1.0])).flatten()
    (3 * partial_l2(student, target)).backward()
    assert student.grad.tolist() == [0.0, 1.0, 3.0]


def test_four_stages_written_down():
    """sum_i 2^-(3 - i) * mean d_p(max(T_i, m_i), r_i(S_i)) in float64, term by term."""
    pairs, maps, targets, expected = [], [], [], 0.0
    shapes = [(2, 3, 8, 8), (2, 4, 4, 4), (2, 5, 2, 2), (2, 6, 1, 1)]
    for k, (n, c, h, w) in enumerate(shapes):
        tap = Tap(k, "stage", 2**k, c, (h, w))
        pairs.append(Pair(tap, tap, 0.5 ** (3 - k)))
        maps.append(drawn(k, n, c, h, w))
        teacher, margins = drawn(10 + k, n, c, h, w), -drawn(20 + k, c).abs()
        targets.append(teacher_transform(teacher, margins))
        total = 0.0
        for i in range(n):
            for j in range(c):
                for y in range(h):
                    for x in range(w):
                        t = max(teacher[i, j, y, x].item(), margins[j].item())
                        s = maps[k][i, j, y, x].item()
                        total += 0.0 if s <= t <= 0 else (s - t) ** 2
        expected += 0.5 ** (3 - k) * total / (n * c * h * w)
    found = overhaul_loss(maps, targets, [pair.weight for pair in pairs])
    assert found.item() == pytest.approx(expected, rel=1e-5)
    half = overhaul_loss([m.float() for m in maps], [t.float() for t in targets],
                         [pair.weight for pair in pairs])  # fmt: skip
    assert half.item() == pytest.approx(expected, rel=1e-5)


def test_student_and_teacher_alike_through_identities_cost_nothing():
    tap = Tap(0, "stage", 4, 5, (4, 4))
    connectors = Connectors([Pair(tap, tap, 1.0)], seed=0).double().eval()
    (connector,) = connectors.of
    with torch.no_grad():
        connector[0].weight.copy_(torch.eye(5)[:, :, None, None])
        connector[1].running_var.fill_(1 - connector[1].eps)
    maps = drawn(0, 2, 5, 4, 4)
    target = teacher_transform(maps, torch.full((5,), -0.3))
    loss = overhaul_loss(connectors([maps]), [target], [1.0])
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    whole = overhaul_loss(connectors([maps]), [target], [1.0], partial=False)
    assert whole.item() > 0.01  # there what lies below the margin counts


def test_connectors_are_the_seeds_alone_and_leave_the_generator():
    pairs = [Pair(Tap(0, "stage", 4, 3, (4, 4)), Tap(0, "stage", 4, 7, (4, 4)), 1.0)]
    torch.manual_seed(5)
    first = Connectors(pairs, seed=1)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    again = Connectors(pairs, seed=1)
    for mine, theirs in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    connector = first.of[0]
    assert isinstance(connector, Connector)
    assert connector(torch.rand(2, 3, 4, 4)).shape == (2, 7, 4, 4)
    assert connector[0].bias is None
