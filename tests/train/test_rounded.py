"""Training with the rounding of an INT8 plan: the same loop, another network."""

from __future__ import annotations

import pytest
import torch
from sparse_training import TINY, Pictures

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import same_values
from yolo_slim.data.loader import collate
from yolo_slim.distill.distiller import Distiller
from yolo_slim.distill.settings import DistillSettings
from yolo_slim.errors import InputError
from yolo_slim.nn.fake_quant import Grids, with_learned
from yolo_slim.quantize.calibrate import quantize
from yolo_slim.train.loop import train
from yolo_slim.train.loss import detection_loss
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import TrainSettings
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


@pytest.fixture(scope="module")
def calibrated() -> Bundle:
    images, _, _ = collate([Pictures()[k] for k in range(8)])
    return quantize(Bundle(TINY, random_weights(TINY)), [images / 255])


def settings(ranges, **changes) -> TrainSettings:
    options = {"epochs": 3, "batch_size": 4, "lr": 3e-3, "precision": "float32", "ema_decay": 0.0,
               "weight_decay": 0.0, "validations": 0, "ranges": ranges, **changes}  # fmt: skip
    return TrainSettings(**options)


def loss_of(bundle: Bundle) -> float:
    images, targets, _ = collate([Pictures()[k] for k in range(8)])
    network = network_of(bundle.cfg, bundle.weights, bundle.precision)
    with torch.no_grad():
        terms = detection_loss(network(images / 255), targets, bundle.cfg)
    return float(torch.stack(list(terms.values())).sum())


@pytest.mark.parametrize("ranges", ["frozen", "learned"])
def test_it_learns_with_the_rounding(ranges, calibrated, tmp_path):
    trained = train(calibrated, Pictures(), collate, settings(ranges, epochs=8), tmp_path)
    assert loss_of(trained) < 0.97 * loss_of(calibrated)
    assert trained.precision is not None and calibrated.precision is not None
    assert set(trained.weights) == set(calibrated.weights)
    assert trained.precision.convs == calibrated.precision.convs
    assert (trained.precision == calibrated.precision) is (ranges == "frozen")
    assert trained.history[-1].settings["ranges"] == ranges
    trained.save(tmp_path / "bundle")


def test_what_was_learned_computes_the_same_from_the_plan(calibrated):
    network = network_of(calibrated.cfg, calibrated.weights, calibrated.precision, True)
    assert network.grids is not None
    with torch.no_grad():
        for number, log in enumerate(network.grids.logs.values()):
            log += 0.3 * (-1) ** number
    assert calibrated.precision is not None
    weights, plan = with_learned(network.state_dict(), calibrated.precision, calibrated.cfg)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for a, b in zip(network(x), network_of(calibrated.cfg, weights, plan)(x), strict=True):
            # A value on the edge between two steps may fall to either side.
            assert (a - b).abs().mean() < 1e-3 * a.abs().mean()


def test_maps_of_one_scale_keep_it(random_bundle):
    bundle = random_bundle(build("yolov3-tiny", 2, 64), dtype=torch.float32)
    int8 = quantize(bundle, [torch.rand(2, 3, 64, 64)])
    network = network_of(int8.cfg, int8.weights, int8.precision, learn_ranges=True)
    with torch.no_grad():
        for number, log in enumerate(network.grids.logs.values()):
            log += 0.1 * number
    _, plan = with_learned(network.state_dict(), int8.precision, int8.cfg)
    for index, first in same_values(int8.cfg, plan.outputs).items():
        assert plan.outputs[index] == plan.outputs[first]
    assert plan.outputs != int8.precision.outputs


def test_steps_have_the_gradient_of_the_paper():
    """Esser et al., "Learned step size quantization", 2020, equation 3, times the step: we learn
    its logarithm."""
    draw = torch.Generator().manual_seed(0)
    x = 40 * torch.randn(1000, generator=draw, dtype=torch.float64)
    step = 0.25
    grids = Grids({3: step}, {}, learned=True).double()
    (log,) = grids.logs.parameters()
    values = x.clone().requires_grad_()
    grids.rounded(values, 3).sum().backward()
    step = float(log.detach().exp())
    ratio = x / step
    inside = (ratio > -128) & (ratio < 127)
    of_step = torch.where(inside, ratio.round() - ratio, ratio.clamp(-128, 127))
    assert float(log.grad) == pytest.approx(float((of_step * step).sum()), rel=1e-9)
    assert torch.equal(values.grad, inside.double())


@pytest.mark.parametrize("ranges", ["frozen", "learned"])
def test_resumed_it_ends_where_an_undisturbed_training_ends(
    ranges, calibrated, tmp_path, monkeypatch
):
    whole = train(calibrated, Pictures(), collate, settings(ranges), tmp_path / "whole")
    step = DetectorModule.training_step

    def stopped(self, batch, index):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(DetectorModule, "training_step", stopped)
        train(calibrated, Pictures(), collate, settings(ranges), tmp_path / "cut")
    again = train(calibrated, Pictures(), collate, settings(ranges), tmp_path / "cut", resume=True)
    done = train(calibrated, Pictures(), collate, settings(ranges), tmp_path / "cut", resume=True)
    for resumed in (again, done):
        assert resumed.precision == whole.precision
        assert all(torch.equal(whole.weights[k], resumed.weights[k]) for k in whole.weights)


def test_the_float_model_can_teach_it(calibrated, tmp_path):
    teacher = Bundle(TINY, random_weights(TINY))
    guidance = Distiller(teacher, calibrated.cfg, DistillSettings(), 4)
    trained = train(
        calibrated, Pictures(), collate, settings("learned"), tmp_path, guidance=guidance
    )
    assert trained.precision != calibrated.precision


def test_without_the_rounding_a_folded_bundle_is_refused(calibrated, tmp_path):
    with pytest.raises(InputError, match="needs BatchNorm"):
        train(calibrated, Pictures(), collate, settings(None), tmp_path)
