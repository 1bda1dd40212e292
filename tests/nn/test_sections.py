"""Sections of the wider Darknet world, against its definitions written as loops."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from yolo_slim.cfg import parse
from yolo_slim.nn.network import Network
from yolo_slim.weights import expected_shapes, network_of, random_weights

RNG = np.random.default_rng(0)


def run(sections: str, x: np.ndarray, weights=None, net: str = "") -> np.ndarray:
    """The last map of a network of these sections; x: [B, C, H, W]."""
    _, channels, height, width = x.shape
    text = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n{net}{sections}"
    cfg = parse(text)
    weights = random_weights(cfg) if weights is None else weights
    doubles = {k: torch.as_tensor(v).double() for k, v in weights.items()}
    with torch.no_grad():
        network = network_of(cfg, doubles) if doubles else Network(cfg).eval()
        return network(torch.from_numpy(x))[-1].numpy()


def test_reorg_is_yolov2_s():
    """reorg_cpu(x, w, h, c, stride, forward=0, out) of pjreddie's blas.c, loop by loop."""
    c, h, w, s = 8, 4, 6, 2
    x = RNG.normal(size=(c, h, w))
    flat, out = x.ravel(), np.empty(c * h * w)
    for k, j, i in product(range(c), range(h), range(w)):
        c2, offset = k % (c // s**2), k // (c // s**2)
        w2, h2 = i * s + offset % s, j * s + offset // s
        out[i + w * (j + h * k)] = flat[w2 + w * s * (h2 + h * s * c2)]
    found = run("[reorg]\nstride=2\n", np.stack([x, x + 1]))
    np.testing.assert_array_equal(found[0].ravel(), out)
    np.testing.assert_array_equal(found[1].ravel(), out + 1)
    assert found.shape == (2, c * 4, h // 2, w // 2)


def test_reorg3d_is_space_to_depth():
    """reorg_cpu(x, out_w, out_h, out_c, stride, forward=0, out) of AlexeyAB's blas.c."""
    c, h, w, s = 3, 4, 6, 2
    x = RNG.normal(size=(1, c, h, w))
    out = np.empty((c * s * s, h // s, w // s))
    for k, j, i in product(*map(range, out.shape)):
        c2, offset = k % c, k // c
        out[k, j, i] = x[0, c2, j * s + offset // s, i * s + offset % s]
    np.testing.assert_array_equal(run("[reorg3d]\nstride=2\n", x)[0], out)


@pytest.mark.parametrize(
    "keys", ["size=2\nstride=2\n", "size=3\nstride=1\n", "size=3\nstride_x=1\nstride_y=2\n"]
)
def test_local_avgpool_counts_what_lies_inside(keys):
    x = RNG.normal(size=(1, 2, 5, 7))
    size = int(keys[5])
    stride_x, stride_y = (2, 2) if "stride=2" in keys else (1, 2 if "stride_y" in keys else 1)
    padding = size - 1
    out_h, out_w = (5 + padding - size) // stride_y + 1, (7 + padding - size) // stride_x + 1
    expected = np.empty((2, out_h, out_w))
    for k, i, j in product(range(2), range(out_h), range(out_w)):
        inside = [
            x[0, k, i * stride_y + n - padding // 2, j * stride_x + m - padding // 2]
            for n, m in product(range(size), repeat=2)
            if 0 <= i * stride_y + n - padding // 2 < 5 and 0 <= j * stride_x + m - padding // 2 < 7
        ]
        expected[k, i, j] = np.mean(inside)
    np.testing.assert_allclose(run(f"[local_avgpool]\n{keys}", x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("kept", [2, 3, 4])
def test_maxpool_depth_takes_every_nth_channel(kept):
    x = RNG.normal(size=(1, 7, 2, 3))
    found = run(f"[maxpool]\nmaxpool_depth=1\nout_channels={kept}\n", x)
    for k in range(kept):
        np.testing.assert_array_equal(found[0, k], x[0, k::kept].max(axis=0))


def test_local_has_a_kernel_at_every_place():
    cfg = parse(
        "[net]\nwidth=5\nheight=4\nchannels=2\n[local]\nfilters=3\nsize=3\nstride=2\npad=1\n"
    )
    weights = {k: RNG.normal(size=s) for k, s in expected_shapes(cfg).items()}
    x = RNG.normal(size=(1, 2, 4, 5))
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    found = run("[local]\nfilters=3\nsize=3\nstride=2\npad=1\nactivation=linear\n", x, weights)
    kernels, bias = weights["0.weight"], weights["0.bias"]
    assert found.shape == (1, 3, 2, 3)
    for f, i, j in product(range(3), range(2), range(3)):
        patch = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        expected = (patch * kernels[i * 3 + j, f]).sum() + bias[f, i, j]
        assert found[0, f, i, j] == pytest.approx(expected)


def test_connected_reads_the_map_in_memory_order():
    x = RNG.normal(size=(2, 2, 3, 4))
    kernel, bias = RNG.normal(size=(5, 24)), RNG.normal(size=5)
    weights = {"0.connected.weight": kernel, "0.connected.bias": bias}
    found = run("[connected]\noutput=5\nactivation=linear\n", x, weights)
    np.testing.assert_allclose(found[:, :, 0, 0], x.reshape(2, -1) @ kernel.T + bias)


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("normalization", ["none", "relu", "softmax"])
def test_weighted_shortcut(kind, normalization):
    """shortcut_multilayer_cpu of AlexeyAB's blas.c."""
    x = RNG.normal(size=(1, 4, 2, 2))
    n, width = 3, 4
    w = RNG.normal(size=(n,) if kind == "per_feature" else (n, width))
    text = "[activation]\n" * 2 + "[route]\nlayers=1\ngroups=2\n[activation]\n[route]\nlayers=0\n"
    text += f"[shortcut]\nfrom=1,3\nweights_type={kind}\nweights_normalization={normalization}\n"
    found = run(text, x, {"5.weight": w})[0]
    for c in range(width):
        ws = [w[k] if kind == "per_feature" else w[k, c] for k in range(n)]
        if normalization == "relu":
            ws = [max(v, 0) / (sum(max(u, 0) for u in ws) + 1e-4) for v in ws]
        elif normalization == "softmax":
            exps = [np.exp(v - max(ws)) for v in ws]
            ws = [e / (sum(exps) + 1e-4) for e in exps]
        # section 3 has half of the channels: the rest of them is not added
        terms = [ws[0] * x[0, c], ws[1] * x[0, c], ws[2] * x[0, c] if c < 2 else 0]
        np.testing.assert_allclose(found[c], sum(terms))


def test_shortcut_of_a_larger_map_reads_every_other_pixel():
    x = RNG.normal(size=(1, 2, 4, 6))
    found = run("[activation]\n[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n", x)
    pooled = x.reshape(1, 2, 2, 2, 3, 2).max(axis=(3, 5))
    np.testing.assert_allclose(found, pooled + x[:, :, ::2, ::2])


def test_gates():
    x = RNG.normal(size=(1, 3, 2, 2))
    sam = run("[activation]\nactivation=tanh\n[activation]\n[sam]\nfrom=-2\n", x)
    np.testing.assert_allclose(sam, np.tanh(x) ** 2)
    wide = "[activation]\n[convolutional]\nfilters=1\nactivation=linear\n"
    weights = {"1.conv.weight": np.ones((1, 3, 1, 1)), "1.conv.bias": np.zeros(1)}
    found = run(wide + "[scale_channels]\nfrom=0\nscale_wh=1\n", x, weights)
    np.testing.assert_allclose(found, x * x.sum(axis=1, keepdims=True))


def test_crop_takes_the_middle_and_spreads_the_range():
    x = RNG.uniform(size=(1, 3, 7, 8))
    text = "[crop]\ncrop_height=4\ncrop_width=4\n"
    np.testing.assert_allclose(run(text, x), 2 * x[:, :, 1:5, 2:6] - 1)
    np.testing.assert_allclose(run(text + "noadjust=1\n", x), x[:, :, 1:5, 2:6])


def test_softmax():
    x = RNG.normal(size=(2, 4, 1, 2))
    exps = np.exp(x / 2)
    flat = exps.reshape(2, 2, 4)
    found = run("[softmax]\ngroups=2\ntemperature=2\n", x)
    np.testing.assert_allclose(found, (flat / flat.sum(axis=2, keepdims=True)).reshape(x.shape))
    spatial = run("[softmax]\nspatial=1\ntemperature=2\n", x)
    np.testing.assert_allclose(spatial, exps / exps.sum(axis=1, keepdims=True))


def test_xnor_takes_signs_of_input_and_kernel():
    x, kernel = RNG.normal(size=(1, 3, 4, 4)), RNG.normal(size=(2, 3, 3, 3))
    x[0, 0, 0, 0] = 0  # Darknet's sign of 0 is -1
    text = "[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=linear\nxnor=1\n"
    found = run(text, x, {"0.conv.weight": kernel, "0.conv.bias": np.zeros(2)})
    signs = np.pad(np.where(x[0] > 0, 1.0, -1.0), ((0, 0), (1, 1), (1, 1)))
    for f, i, j in product(range(2), range(4), range(4)):
        binary = np.where(kernel[f] > 0, 1, -1) * np.abs(kernel[f]).mean()
        assert found[0, f, i, j] == pytest.approx((signs[:, i : i + 3, j : j + 3] * binary).sum())


def test_a_shared_kernel_is_one_kernel():
    conv = "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation={}\n"
    text = conv.format("leaky") + conv.format("linear") + "share_index=0\n"
    shared = text + conv.format("relu") + "dilation=2\nshare_index=-1\n"
    cfg = parse("[net]\nwidth=6\nheight=6\nchannels=3\n" + shared)
    assert {key.split(".")[0] for key in expected_shapes(cfg)} == {"0"}
    weights = random_weights(cfg)
    x = RNG.normal(size=(1, 3, 6, 6))
    apart = conv.format("leaky") + conv.format("linear") + conv.format("relu") + "dilation=2\n"
    copies = {f"{i}.{k[2:]}": v for i in range(3) for k, v in weights.items()}
    np.testing.assert_allclose(run(shared, x, weights), run(apart, x, copies), atol=1e-12)


def test_select_shuffle_and_batchnorm():
    x = RNG.normal(size=(1, 6, 2, 2))
    np.testing.assert_array_equal(run("[select]\nchannels=4,0,5\n", x), x[:, [4, 0, 5]])
    shuffled = run("[shuffle]\ngroups=3\n", x)
    np.testing.assert_array_equal(shuffled, x[:, [0, 2, 4, 1, 3, 5]])
    gamma, beta, mean, var = RNG.uniform(0.5, 2, size=(4, 6))
    weights = dict(zip(("0.bn.weight", "0.bn.bias", "0.bn.running_mean", "0.bn.running_var"),
                       (gamma, beta, mean, var), strict=True))  # fmt: skip
    found = run("[batchnorm]\n", x, weights, net="bn_eps=1e-3\n")
    scale = (gamma / np.sqrt(var + 1e-3)).reshape(1, -1, 1, 1)
    shift = beta.reshape(1, -1, 1, 1) - mean.reshape(1, -1, 1, 1) * scale
    np.testing.assert_allclose(found, x * scale + shift)


def test_anisotropic_strides_and_scaled_upsampling():
    x = RNG.normal(size=(1, 1, 5, 6))
    weights = {"0.conv.weight": np.ones((1, 1, 1, 1)), "0.conv.bias": np.zeros(1)}
    text = "[convolutional]\nactivation=linear\nstride_x=3\nstride_y=2\n"
    np.testing.assert_array_equal(run(text, x, weights), x[:, :, ::2, ::3])
    up = run("[upsample]\nstride=4\nscale=0.5\n", x)
    np.testing.assert_array_equal(up, 0.5 * x.repeat(4, axis=2).repeat(4, axis=3))
