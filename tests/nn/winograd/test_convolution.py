"""By tiles or directly: the same map, whatever its size, padding, type and layout."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from yolo_slim.nn.winograd.convolution import TILES, WinogradConvolution, winograd_conv2d
from yolo_slim.nn.winograd.product import batched_product, can_pack, packed_product
from yolo_slim.nn.winograd.tiles import blocks

TOLERANCE = {  # of outputs of about 1
    torch.float64: {2: 1e-10, 4: 1e-10, 6: 1e-10},
    torch.float32: {2: 1e-4, 4: 1e-3, 6: 1e-3},
}


def drawn(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def layer(images, channels, filters, hw, dtype, seed=0):
    """x, weight, bias; outputs have a variance of about 1."""
    weight = drawn((filters, channels, 3, 3), seed + 1, dtype) / (9 * channels) ** 0.5
    return drawn((images, channels, *hw), seed, dtype), weight, drawn((filters,), seed + 2, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("tile", TILES)
@settings(max_examples=15, deadline=None)
@given(
    images=st.integers(1, 3),
    channels=st.integers(1, 20),
    filters=st.integers(1, 20),
    hw=st.tuples(st.integers(1, 33), st.integers(1, 33)),
    padding=st.integers(0, 3),
    biased=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_it_is_the_convolution(dtype, tile, images, channels, filters, hw, padding, biased, layout):
    padding = max(padding, (4 - min(hw)) // 2)  # a map of 3 x 3 or more
    x, weight, bias = layer(images, channels, filters, hw, dtype)
    bias = bias if biased else None
    found = winograd_conv2d(x.contiguous(memory_format=layout), weight, bias, padding, tile)
    direct = F.conv2d(
        x.double(), weight.double(), None if bias is None else bias.double(), padding=padding
    )
    assert found.dtype == dtype
    assert found.shape == direct.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (found - direct).abs().max() <= TOLERANCE[dtype][tile]


@pytest.mark.parametrize("tile", TILES)
def test_maps_of_many_blocks(tile):
    # More tiles than a block holds, no whole number of blocks, a ragged edge on both sides.
    x, weight, bias = layer(3, 4, 6, (83, 121), torch.float32)
    parts = blocks(3, -(-83 // tile), -(-121 // tile), 4, 6)
    assert len(list(parts)) > 3
    direct = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    found = winograd_conv2d(x, weight, bias, 1, tile)
    assert (found - direct).abs().max() <= TOLERANCE[torch.float32][tile]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 60), st.integers(1, 60), st.integers(1, 64))
def test_blocks_cover_everything_and_are_equal(images, rows, columns, channels):
    parts = blocks(images, rows, columns, channels, channels)
    covered = torch.zeros(images, rows, columns, dtype=torch.bool)
    for some_images, some_rows in parts:
        assert covered[some_images, some_rows].numel() == parts.tiles
        covered[some_images, some_rows] = True
    assert covered.all()


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("tiles", "channels", "filters"), [(1, 5, 3), (7, 1, 1), (30, 48, 64)])
def test_both_products_are_one(tiles, channels, filters, biased):
    if not can_pack(torch.empty(0)):
        pytest.skip("this torch has no oneDNN")
    maps, kernels = drawn((tiles, 16, channels), 0).float(), drawn((16, filters, channels), 1)
    kernels = kernels.float()
    bias = drawn((filters,), 2).float() if biased else None
    with torch.no_grad():
        packed = packed_product(kernels, bias, 5, tiles)(maps)
        batched = batched_product(kernels, bias, 5)(maps)
    expected = torch.einsum("tpc,pfc->tpf", maps, kernels)
    if bias is not None:
        expected[:, 5] += bias
    torch.testing.assert_close(batched, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(packed, expected, rtol=1e-4, atol=1e-4)


def test_a_torch_without_onednn_does_it_too(monkeypatch):
    monkeypatch.setattr("yolo_slim.nn.winograd.convolution.can_pack", lambda maps: False)
    x, weight, bias = layer(2, 8, 16, (11, 30), torch.float32)
    direct = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert (winograd_conv2d(x, weight, bias, 1, 4) - direct).abs().max() <= 1e-3


def test_the_error_grows_with_the_tile_and_stays_small():
    x, weight, bias = layer(1, 64, 32, (40, 40), torch.float32)
    direct = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    errors = [(winograd_conv2d(x, weight, bias, 1, t) - direct).abs().mean().item() for t in TILES]
    assert all(2 * small < large for small, large in pairwise(errors))
    assert errors[-1] < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("tile", TILES)
def test_short_numbers_lose_no_more_than_their_own_rounding(dtype, tile):
    x, weight, bias = layer(1, 8, 8, (13, 9), dtype)
    found = winograd_conv2d(x, weight, bias, 1, tile)
    direct = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), direct, rtol=2**-7, atol=1e-4)


def test_a_kept_kernel_is_the_layer_s():
    x, weight, bias = layer(1, 4, 4, (8, 8), torch.float64)
    convolution = WinogradConvolution(4)

    def differs(some_x: torch.Tensor) -> float:
        direct = F.conv2d(some_x, weight, bias, padding=1)
        return (convolution(some_x, weight, bias, 1) - direct).abs().max().item()

    assert differs(x) < 1e-12
    kept = convolution._kept
    assert differs(x + 1) < 1e-12
    assert convolution._kept is kept  # transformed once
    weight.mul_(2)
    assert differs(x) < 1e-12
    bias.add_(1)
    assert differs(x) < 1e-12
    assert differs(drawn((2, 4, 50, 50), 5)) < 1e-12  # another number of tiles
    with torch.inference_mode():
        assert differs(x) < 1e-12


def test_a_kernel_of_inference_mode_may_change():
    convolution = WinogradConvolution(4)
    with torch.inference_mode():
        x, weight, bias = layer(1, 4, 4, (8, 8), torch.float64)
        before = convolution(x, weight, bias, 1)
        weight.mul_(2)
        bias.mul_(2)
        torch.testing.assert_close(convolution(x, weight, bias, 1), 2 * before)


@pytest.mark.parametrize("tile", TILES)
def test_of_no_image_there_is_no_map(tile):
    x, weight, bias = layer(0, 3, 5, (9, 6), torch.float32)
    found = winograd_conv2d(x, weight, bias, 1, tile)
    assert found.shape == F.conv2d(x, weight, bias, padding=1).shape == (0, 5, 9, 6)


@pytest.mark.parametrize(
    ("x", "weight", "padding"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), 1),
        ((1, 3, 8, 8), (4, 3, 5, 5), 1),
        ((1, 3, 2, 8), (4, 3, 3, 3), 0),
    ],
)
def test_other_shapes_are_refused(x, weight, padding):
    with pytest.raises(ValueError, match=r"expected a kernel \[K, 3, 3, 3\]"):
        winograd_conv2d(torch.zeros(x), torch.zeros(weight), None, padding)


def test_other_tiles_are_refused():
    with pytest.raises(ValueError, match="tile 3: expected one of 2, 4, 6"):
        WinogradConvolution(3)
