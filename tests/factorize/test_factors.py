"""Factors of a kernel by its weights: numpy's SVD and tensorly's HOOI know the least error."""

from __future__ import annotations

import numpy as np
import pytest
import tensorly
import torch
from tensorly.decomposition import partial_tucker

from yolo_slim.factorize.factors import factor
from yolo_slim.factorize.options import candidates
from yolo_slim.factorize.sites import Ranks, Site
from yolo_slim.factorize.spectrum import decompose

SHAPES = {"wide": (10, 4, 9), "narrow": (4, 10, 9), "matrix": (9, 5, 1), "fat matrix": (5, 9, 1)}


def drawn(shape, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    scale = torch.rand(shape[0], generator=draw, dtype=torch.float64) + 0.1
    return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype), scale


def full_ranks(shape) -> list[Ranks]:
    n_out, n_in, area = shape
    behind = Ranks(written=min(n_out, n_in * area))
    return [behind] if area == 1 else [
        behind, Ranks(read=n_in), Ranks(read=n_in, written=min(n_out, n_in * area))
    ]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_full_rank_is_the_kernel(shape, dtype, tolerance):
    kernel, scale = drawn(shape, dtype=dtype)
    scale[0] = 0.01 * scale.max()
    spectrum = decompose(kernel, scale, with_grid=True)
    for ranks in full_ranks(shape):
        found = factor(kernel, scale, spectrum, ranks)
        assert found.kernel.dtype == dtype
        assert (found.kernel - kernel).abs().max() <= tolerance * kernel.abs().max()
        assert found.kept == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_factors_of_a_rank_lose_less(shape):
    """Eckart and Young, 1936, in the matrix that each form of SVD cuts."""
    kernel, scale = drawn(shape)
    scaled = (kernel * scale[:, None, None]).numpy()
    spectrum = decompose(kernel, scale)
    unfolded = {"written": scaled.reshape(shape[0], -1)}
    if shape[2] > 1:
        unfolded["read"] = scaled.transpose(1, 0, 2).reshape(shape[1], -1)
    for side, matrix in unfolded.items():
        energies = np.linalg.svd(matrix, compute_uv=False) ** 2
        for rank in range(1, len(energies) + 1):
            found = factor(kernel, scale, spectrum, Ranks(**{side: rank}))
            lost = (found.kernel.numpy() * scale.numpy()[:, None, None] - scaled) ** 2
            assert lost.sum() == pytest.approx(energies[rank:].sum(), abs=1e-9)
            assert found.kept == pytest.approx(energies[:rank].sum() / energies.sum())


@pytest.mark.parametrize("ranks", [Ranks(3, 4), Ranks(2, 6), Ranks(6, 2), Ranks(1, 1)])
def test_tucker_is_as_good_as_tensorly(ranks, monkeypatch):
    tensorly.set_backend("numpy")
    kernel, scale = drawn((12, 8, 9), seed=3)
    scaled = (kernel * scale[:, None, None]).numpy()
    spectrum = decompose(kernel, scale)
    (core, sides), _ = partial_tucker(
        scaled, [ranks.written, ranks.read], modes=[0, 1], n_iter_max=100, tol=0
    )
    product = tensorly.tenalg.multi_mode_dot(core, sides, modes=[0, 1])
    theirs = ((product - scaled) ** 2).sum()

    def lost() -> float:
        found = factor(kernel, scale, spectrum, ranks)
        lost = ((found.kernel.numpy() * scale.numpy()[:, None, None] - scaled) ** 2).sum()
        assert found.kept == pytest.approx(1 - lost / (scaled**2).sum())
        return float(lost)

    assert lost() <= 1.02 * theirs
    monkeypatch.setattr("yolo_slim.factorize.front.SWEEPS", 100)
    assert lost() <= theirs * (1 + 1e-6)


def test_the_estimate_of_tucker_is_kept_at_least():
    kernel, scale = drawn((12, 8, 9), seed=4)
    site = Site(0, "3x3", 12, 8, 9, 16, 16, 12 * 8 * 9 * 16)
    spectrum, found = decompose(kernel, scale, with_grid=True), candidates(site, "tucker")
    estimates = spectrum.kept(found)
    assert len(found) > 30
    for place in range(0, len(found), 5):
        kept = factor(kernel, scale, spectrum, found.ranks(place)).kept
        assert kept >= estimates[place] - 1e-9


def test_candidates_are_cheaper_multiples_and_counted_right():
    site = Site(0, "3x3", 32, 24, 9, 64, 16, 32 * 24 * 9 * 16)
    for method, multiple in (("svd", 1), ("svd", 8), ("tucker", 1), ("tucker", 8)):
        found = candidates(site, method, multiple)
        for place in range(len(found)):
            ranks = found.ranks(place)
            assert found.macs[place] == site.macs_of(ranks) < site.macs
            assert {(r or 0) % multiple for r in (ranks.read, ranks.written)} == {0}
            both = ranks.read is not None and ranks.written is not None
            assert ranks != Ranks() and (method == "tucker" or not both)
    assert len(candidates(site, "tucker")) > len(candidates(site, "svd"))


def test_what_is_between_two_factors_is_written_and_read_at_one_size():
    kernel, scale = drawn((12, 8, 9))
    found = factor(kernel, scale, decompose(kernel, scale), Ranks(3, 5))
    torch.testing.assert_close(found.core.norm(dim=(1, 2)), found.back.norm(dim=0))
    sizes = found.front.norm(dim=1) / found.core.norm(dim=(0, 2))
    assert 0.5 < sizes.min() and sizes.max() < 2  # evened before the other side was


def test_a_kernel_of_zeros_has_factors():
    kernel, scale = torch.zeros(6, 4, 9), torch.ones(6, dtype=torch.float64)
    for ranks in (Ranks(written=2), Ranks(read=2), Ranks(2, 2)):
        found = factor(kernel, scale, decompose(kernel, scale, with_grid=True), ranks)
        assert not found.kernel.any() and found.kept == 1
