"""First-order evidence, against what the loss does when a channel is turned up a little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from yolo_slim.cfg import couple, parse
from yolo_slim.errors import InputError, RunError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.nn.network import Network
from yolo_slim.prune.place import plan_ratio
from yolo_slim.prune.scores import Scoring, score_classes
from yolo_slim.prune.taylor import taylor_evidence
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

NET = "[net]\nwidth=16\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\npad=1\nactivation=mish\n"
END = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
ADD = "[shortcut]\nfrom=-2\nactivation=linear\n"
TEXT = NET + CONV.format(5) + CONV.format(5) + ADD + CONV.format(4) + END


def squares(network: Network, images: Tensor) -> Tensor:
    return sum((raw**2).mean() for raw in network(images))


def batches_of(lively_images, cfg, n: int = 2) -> list[Tensor]:
    return [lively_images(cfg, 2, seed) for seed in range(n)]


def test_evidence_is_the_slope_of_the_loss_along_a_channel_s_volume(lively_bundle, lively_images):
    cfg = parse(TEXT)
    network = network_of(cfg, lively_bundle(cfg).weights)
    batches = batches_of(lively_images, cfg)
    evidence = taylor_evidence(network, batches, squares)
    assert evidence.keys() == {0, 1, 3}

    def loss_at(index: int, channel: int, volume: float, images: Tensor) -> float:
        def turn(module, inputs, output):
            output = output.clone()
            output[:, channel] *= volume
            return output

        hook = network.get_submodule(f"{index}.bn").register_forward_hook(turn)
        with torch.no_grad():
            loss = float(squares(network, images))
        hook.remove()
        return loss

    step = 1e-5
    for index, told in evidence.items():
        for channel in range(len(told)):
            expected = 0.0
            for images in batches:
                louder = loss_at(index, channel, 1 + step, images)
                softer = loss_at(index, channel, 1 - step, images)
                expected += ((louder - softer) / (2 * step)) ** 2
            assert told[channel] == pytest.approx(expected, rel=1e-5, abs=1e-12)
            assert told[channel] > 0


def test_batches_add_up(lively_bundle, lively_images):
    cfg = parse(TEXT)
    network = network_of(cfg, lively_bundle(cfg).weights)
    first, second = batches_of(lively_images, cfg)
    whole = taylor_evidence(network, iter([first, second]), squares)
    parts = [taylor_evidence(network, [batch], squares) for batch in (first, second)]
    for index, values in whole.items():
        np.testing.assert_allclose(values, parts[0][index] + parts[1][index], rtol=1e-12)


def spoilt(network: Network, images: Tensor) -> Tensor:
    squares(network, images)
    raise ZeroDivisionError


@pytest.mark.parametrize("loss", [squares, spoilt])
def test_the_network_is_left_as_it_was(loss, lively_bundle, lively_images):
    cfg = parse(TEXT)
    network = network_of(cfg, lively_bundle(cfg).weights).train()
    network.get_submodule("1").eval()
    network.get_parameter("3.bn.weight").requires_grad_(False)
    batches = batches_of(lively_images, cfg)
    squares(network, batches[0]).backward()  # gradients of someone else's
    numbers = {k: v.clone() for k, v in network.state_dict().items()}
    grads = {k: None if p.grad is None else p.grad.clone() for k, p in network.named_parameters()}
    wanted = {k: p.requires_grad for k, p in network.named_parameters()}
    modes = {k: m.training for k, m in network.named_modules()}
    assert any(k.endswith("num_batches_tracked") for k in numbers)

    with torch.no_grad():  # a caller's mode is no obstacle
        try:
            evidence = taylor_evidence(network, batches, loss)
            assert evidence[3].min() > 0  # frozen for training, judged all the same
        except ZeroDivisionError:
            assert loss is spoilt
        assert not torch.is_grad_enabled()

    assert all(torch.equal(numbers[k], v) for k, v in network.state_dict().items())
    for k, p in network.named_parameters():
        assert (p.grad is None) == (grads[k] is None)
        assert p.grad is None or torch.equal(p.grad, grads[k])
    assert wanted == {k: p.requires_grad for k, p in network.named_parameters()}
    assert modes == {k: m.training for k, m in network.named_modules()}


def test_a_channel_that_the_loss_does_not_hear_goes_first(lively_bundle, lively_images):
    cfg = build("yolov3-nano", 2, 64)
    bundle = lively_bundle(cfg)
    assert [i for i in range(len(cfg)) if 0 in cfg.links(i)] == [1]
    bundle.weights["1.conv.weight"][:, 3] = 0.0  # nobody listens, however loud it is
    bundle.weights["0.bn.weight"][3] = 5.0
    network = network_of(cfg, bundle.weights)
    evidence = taylor_evidence(network, batches_of(lively_images, cfg, 1), squares)
    assert {f"{index}.bn.weight" for index in evidence} == {
        key for key in bundle.weights if key.endswith("bn.weight")
    }
    assert evidence[0].argmin() == 3
    scoring = Scoring("taylor", normalize="layer", evidence=evidence)
    coupling = couple(cfg)
    assert np.isfinite(score_classes(bundle, coupling, scoring)[coupling.free]).all()
    assert not plan_ratio(bundle, 0.05, scoring).kept(0)[3]
    assert plan_ratio(bundle, 0.05, Scoring("gamma", normalize="layer")).kept(0)[
        3
    ]  # by its gamma it would stay


def test_what_the_loss_does_not_reach_has_no_evidence(lively_bundle, lively_images):
    cfg = parse(TEXT)
    network = network_of(cfg, lively_bundle(cfg).weights)

    def early(network: Network, images: Tensor) -> Tensor:
        return network.forward_with_taps(images, [0])[1][0].square().mean()

    evidence = taylor_evidence(network, batches_of(lively_images, cfg), early)
    assert evidence[0].min() > 0
    assert not evidence[1].any() and not evidence[3].any()


def test_refusals_say_what_is_missing(lively_bundle, lively_images):
    cfg = parse(TEXT)
    bundle = lively_bundle(cfg)
    network = network_of(cfg, bundle.weights)
    images = batches_of(lively_images, cfg, 1)
    with pytest.raises(InputError, match="no batch"):
        taylor_evidence(network, [], squares)
    with pytest.raises(RunError, match="loss of batch 1 is nan"):
        taylor_evidence(network, images, lambda n, x: squares(n, x) * float("nan"))
    folded = fold_batchnorm(bundle)
    with pytest.raises(InputError, match="from before that step"):
        taylor_evidence(network_of(folded.cfg, folded.weights), images, squares)
