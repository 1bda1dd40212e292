"""New running statistics are those of the images, and nothing else changes."""

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import infer_shapes, parse
from yolo_slim.errors import InputError
from yolo_slim.fold import fold_batchnorm
from yolo_slim.prune.recalibrate import recalibrate
from yolo_slim.weights import network_of
from yolo_slim.zoo import build

STATISTICS = ("running_mean", "running_var")


@pytest.fixture
def bundle(lively_bundle):
    return lively_bundle(build("yolov3-nano", 2, 64))


def test_the_first_layer_s_are_the_moments_of_all_images_however_they_are_batched(
    bundle, lively_images
):
    images = lively_images(bundle.cfg, batch=20)
    one = recalibrate(bundle, [images])
    uneven = recalibrate(bundle, [images[:3], images[3:16], images[16:]])
    kernel = bundle.weights["0.conv.weight"]
    maps = torch.nn.functional.conv2d(images, kernel, padding=1, stride=bundle.cfg[0].stride)
    for found in (one, uneven):
        mean, variance = (found.weights[f"0.bn.{key}"] for key in STATISTICS)
        torch.testing.assert_close(mean, maps.mean(dim=(0, 2, 3)))
        torch.testing.assert_close(variance, maps.transpose(0, 1).flatten(1).var(dim=1))


def test_one_batch_gives_what_training_sees(bundle, lively_images):
    """In evaluation with the new statistics a network does what it did in training mode, but that
    it divides by the unbiased variance."""
    images = lively_images(bundle.cfg, batch=16)
    network = network_of(bundle.cfg, bundle.weights).train()
    weights = dict(recalibrate(bundle, [images]).weights)
    for index, shape in enumerate(infer_shapes(bundle.cfg)):
        if f"{index}.bn.running_var" in weights:
            n = len(images) * shape.height * shape.width
            weights[f"{index}.bn.running_var"] = weights[f"{index}.bn.running_var"] * ((n - 1) / n)
    with torch.no_grad():
        in_training = network(images)
        after = network_of(bundle.cfg, weights)(images)
    for a, b in zip(in_training, after, strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_but_statistics_changes_and_the_source_stays(bundle, lively_images):
    before = {key: tensor.clone() for key, tensor in bundle.weights.items()}
    fresh = recalibrate(bundle, [lively_images(bundle.cfg, batch=16)])
    assert fresh.cfg == bundle.cfg and fresh.history[-1].verb == "recalibrate"
    for key, tensor in before.items():
        assert torch.equal(tensor, bundle.weights[key])
        assert torch.equal(tensor, fresh.weights[key]) == (not key.endswith(STATISTICS))


def test_a_constant_channel_survives(lively_bundle, lively_images):
    """Its variance is 0: no number that is none comes out."""
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\n"
        "activation=leaky\n[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
    )
    bundle = lively_bundle(cfg)
    bundle.weights["0.conv.weight"][2] = 0
    fresh = recalibrate(bundle, [lively_images(cfg, batch=16)])
    assert fresh.weights["0.bn.running_var"][2] == 0
    (raw,) = network_of(fresh.cfg, fresh.weights)(lively_images(cfg))
    assert torch.isfinite(raw).all()


@pytest.mark.parametrize("n", [0, 15])
def test_too_few_images_are_refused(bundle, lively_images, n):
    with pytest.raises(InputError, match=f"{n} images are too few"):
        recalibrate(bundle, [lively_images(bundle.cfg, batch=n)] if n else [])


def test_a_folded_bundle_is_refused(random_bundle):
    folded = fold_batchnorm(random_bundle(build("yolov3-nano", 2, 64)))
    assert isinstance(folded, Bundle)
    with pytest.raises(InputError, match="needs BatchNorm"):
        recalibrate(folded, [])
