"""Margins against numeric integration, and against drawn numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import parse
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.margin import NegativeMean, negative_mean, negative_response
from yolo_slim.distill.settings import DistillSettings, read_losses
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.weights import network_of, random_weights

RANDOM = np.random.default_rng(0)
GAMMAS = RANDOM.normal(size=40) * RANDOM.choice([0.01, 0.3, 1, 5], 40)
BETAS = RANDOM.normal(size=40) * np.abs(GAMMAS) * 2


def integrated(gamma: float, beta: float, activation: str) -> float:
    """E[a(x) | x < 0] by an adaptive rule, in pieces that end where an activation has a corner."""
    sigma = abs(gamma)
    respond = ACTIVATION_FUNCTIONS[activation]

    def density(x: float) -> float:
        return norm.pdf(x, beta, sigma)

    def heard(x: float) -> float:
        return float(respond(torch.tensor(x, dtype=torch.float64))) * density(x)

    low = min(beta, 0) - 12 * sigma
    corners = sorted({low, *(c for c in (-3.0, -1.0) if low < c < 0), 0.0})
    pieces = list(pairwise(corners))
    total, share = (
        sum(quad(f, a, b, limit=200, epsabs=1e-13)[0] for a, b in pieces) for f in (heard, density)
    )
    return total / share


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky", "swish", "hswish", "mish"])
def test_the_closed_form_is_the_integral(activation):
    found = negative_response(torch.tensor(GAMMAS), torch.tensor(BETAS), activation)
    for gamma, beta, margin in zip(GAMMAS, BETAS, found.tolist(), strict=True):
        if norm.cdf(-beta / abs(gamma)) > 1e-3:
            expected = integrated(gamma, beta, activation)
            assert margin == pytest.approx(expected, abs=1e-4 * max(1, abs(gamma)))


def test_before_the_activation_it_is_the_mean_of_what_is_negative():
    gamma, beta = torch.tensor(GAMMAS), torch.tensor(BETAS)
    torch.testing.assert_close(negative_mean(gamma, beta), negative_response(gamma, beta, "linear"))


def test_a_channel_that_is_hardly_ever_negative_gets_three_sigma():
    sigma, z = 0.7, norm.ppf(1 - 0.9e-3)  # Phi(-z) is just below the published 0.001
    rare = negative_mean(torch.tensor([sigma]), torch.tensor([z * sigma]))
    assert rare.item() == pytest.approx(-3 * sigma)
    often = negative_mean(torch.tensor([sigma]), torch.tensor([norm.ppf(1 - 1.1e-3) * sigma]))
    assert often.item() == pytest.approx(integrated(sigma, norm.ppf(1 - 1.1e-3) * sigma, "linear"))


@pytest.mark.parametrize(("beta", "expected"), [(-0.4, -0.4), (0.4, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("gamma", [0.0, 1e-30, -1e-9])
def test_a_dead_gamma_leaves_beta_if_that_is_negative(gamma, beta, expected):
    margin = negative_mean(torch.tensor([gamma]), torch.tensor([beta]))
    assert margin.item() == pytest.approx(expected, abs=1e-7) and math.isfinite(margin.item())


def test_no_margin_is_positive_or_no_number():
    gamma = torch.tensor([0.0, 1e-12, 1e-3, 1.0, -1.0, 1e3]).repeat_interleave(7)
    beta = torch.tensor([-1e3, -1.0, -1e-6, 0.0, 1e-6, 1.0, 1e3]).repeat(6)
    for activation in ("linear", "relu", "leaky", "swish", "hswish"):
        margins = negative_response(gamma, beta, activation)
        assert margins.isfinite().all() and (margins <= 1e-12).all()


def test_what_is_measured_is_what_was_drawn():
    draw = torch.Generator().manual_seed(0)
    gamma, beta = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.1, -1.0, 2.0])
    measured = NegativeMean(lambda x: x)
    for _ in range(8):
        values = torch.randn(4, 3, 64, 64, generator=draw)
        measured.add(values * gamma[:, None, None] + beta[:, None, None])
    torch.testing.assert_close(measured.mean(), negative_mean(gamma, beta), rtol=0.01, atol=0.01)


def test_measured_by_hand():
    measured = NegativeMean(lambda x: 0.1 * x)
    measured.add(torch.tensor([[[[-1.0, 3.0]], [[2.0, 4.0]]]]))
    measured.add(torch.tensor([[[[-3.0, 0.0]], [[2.0, 4.0]]]]))
    assert measured.mean().tolist() == pytest.approx([0.1 * -2.0, 0.1 * -3 * 1.0])


_NET = "[net]\nwidth=16\nheight=16\n"
_CONV = "[convolutional]\nfilters=6\nsize=3\nstride=4\npad=1\nactivation=linear\n"
ACTIVATED = {
    "activation": "[activation]\nactivation=leaky\n",
    "connected": "[connected]\noutput=6\nactivation=leaky\n",
    "local": "[local]\nfilters=6\nsize=1\nactivation=leaky\n",
    "sam": _CONV.replace("4", "1") + "[sam]\nfrom=0\nactivation=leaky\n",
    "scale_channels": "[avgpool]\n[scale_channels]\nfrom=0\nactivation=leaky\n",
    "shortcut": _CONV.replace("4", "1") + "[shortcut]\nfrom=0\nactivation=leaky\n",
}


@pytest.mark.parametrize("text", ACTIVATED.values(), ids=ACTIVATED)
def test_a_measured_margin_is_what_is_heard_behind_the_activation(text):
    cfg = parse(_NET + _CONV + text)
    section = len(cfg) - 1
    teacher = Bundle(cfg, random_weights(cfg))
    images = [torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
    settings = DistillSettings(
        read_losses("overhaul"), position="after", taps=((section, section),)
    )
    (margin,) = Distiller(teacher, cfg, settings, 2, lambda: images).margins
    with torch.no_grad():
        network = network_of(cfg, teacher.weights)
        _, before = network.forward_with_taps(images[0], [section], before_activation=True)
    expected = NegativeMean(ACTIVATION_FUNCTIONS["leaky"])
    expected.add(before[section])
    assert torch.allclose(margin, expected.mean())
