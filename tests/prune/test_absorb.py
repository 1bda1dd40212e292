"""What a dropped channel sends on average: moments by quadrature, and what they are worth."""

import pytest
import torch

from yolo_slim.cfg import ACTIVATIONS, couple, parse
from yolo_slim.nn.activations import ACTIVATION_FUNCTIONS
from yolo_slim.prune.absorb import Sent, absorb
from yolo_slim.prune.cut import take
from yolo_slim.prune.plan import Plan
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.weights import network_of


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_moments_are_those_of_many_draws(activation):
    mean = torch.tensor([-1.5, -0.3, 0.0, 0.8, 2.0])
    std = torch.tensor([0.2, 1.0, 0.5, 0.7, 1.5])
    found = Sent(mean, std).activated(activation)
    draws = torch.randn(200_000, 5, generator=torch.Generator().manual_seed(0))
    values = ACTIVATION_FUNCTIONS[activation](mean + std * draws)
    torch.testing.assert_close(found.mean, values.mean(dim=0), atol=0.03, rtol=0.01)
    torch.testing.assert_close(found.std, values.std(dim=0), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_constant_is_sent_exactly(activation):
    mean = torch.linspace(-3, 3, 7)
    found = Sent(mean, torch.zeros(7)).activated(activation)
    torch.testing.assert_close(found.mean, ACTIVATION_FUNCTIONS[activation](mean), rtol=0, atol=0)
    assert not found.std.any()


def test_the_mean_of_what_reads_a_live_channel_stays(lively_bundle, lively_images):
    """Dropped channels vary: what their reader sees keeps its mean, not its value."""
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=1\nactivation={}\n"
    cfg = parse("[net]\nwidth=16\nheight=16\n" + conv.format(8, "leaky") + conv.format(6, "linear"))
    images = lively_images(cfg, batch=32)
    bundle = recalibrate(lively_bundle(cfg), [images])
    coupling = couple(cfg)
    keep = torch.ones(coupling.n_classes, dtype=torch.bool).numpy()
    keep[coupling.classes(0)[[1, 4, 6]]] = False
    plan = Plan(cfg, coupling, keep)

    def seen(candidate):
        with torch.no_grad():
            return network_of(candidate.cfg, candidate.weights)(images)[0].mean(dim=(0, 2, 3))

    before, plain = seen(bundle), seen(take(bundle, plan))
    after = seen(take(absorb(bundle, plan), plan))
    assert (after - before).abs().max() < 0.1 * (plain - before).abs().max()
