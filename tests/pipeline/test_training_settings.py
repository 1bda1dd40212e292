"""What was typed, else what the cfg says, else a default; and heads for other classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolo_slim.bundle import Bundle
from yolo_slim.cfg import Cfg, Yolo, parse
from yolo_slim.data.augment import Augmentation
from yolo_slim.errors import InputError
from yolo_slim.pipeline.other_classes import for_classes
from yolo_slim.pipeline.training import augmentation_of, calm_from, require_calm, settings_of
from yolo_slim.weights import network_of, random_weights
from yolo_slim.zoo import build


def cfg_saying(net: dict[str, str], yolo: dict[str, str] | None = None) -> Cfg:
    cfg = build("yolov3-tiny", 3, 64)
    sections = tuple(
        replace(s, extras=tuple((yolo or {}).items())) if isinstance(s, Yolo) else s for s in cfg
    )
    return replace(cfg, net=replace(cfg.net, extras=tuple(net.items())), sections=sections)


DARKNET = {
    "batch": "64", "subdivisions": "16", "momentum": "0.949", "decay": "0.0005",
    "learning_rate": "0.0013", "burn_in": "1000", "policy": "steps", "hue": ".1",
    "saturation": "1.5", "exposure": "1.5", "mosaic": "1", "flip": "0",
}  # fmt: skip


def test_a_silent_cfg_leaves_the_defaults():
    cfg = cfg_saying({})
    assert augmentation_of(cfg, {"mosaic_p": None}) == Augmentation()
    settings = settings_of(cfg, {"epochs": 3, "lr": None, "optimizer": "adamw"}, {})
    assert (settings.lr, settings.batch_size, settings.schedule) == (0.001, 16, "cosine")
    assert (settings.multi_scale, settings.loss.per) == (1, "object")


def test_pictures_are_changed_as_the_cfg_says_unless_an_option_says_otherwise():
    cfg = cfg_saying(DARKNET)
    said = augmentation_of(cfg, {})
    assert (said.hue, said.saturation, said.exposure) == (0.1, 1.5, 1.5)
    assert (said.mosaic_p, said.flip_p) == (0.5, 0.0)
    assert augmentation_of(cfg, {"mosaic_p": 0.0, "flip_p": 0.4}).flip_p == 0.4


def test_sgd_is_darknets_way_and_adamw_takes_the_rate_alone():
    cfg = cfg_saying(DARKNET, {"random": "1"})
    sgd = settings_of(cfg, {"epochs": 3, "optimizer": "sgd"}, {})
    assert (sgd.batch_size, sgd.accumulate, sgd.momentum) == (4, 16, 0.949)
    assert (sgd.weight_decay, sgd.schedule, sgd.loss.per) == (0.0005, "cfg", "image")
    adamw = settings_of(cfg, {"epochs": 3, "optimizer": "adamw"}, {})
    assert (adamw.batch_size, adamw.accumulate, adamw.weight_decay) == (16, 1, 0.02)
    assert sgd.lr == adamw.lr == 0.0013 and sgd.multi_scale == adamw.multi_scale == 1.4
    typed = {"epochs": 3, "optimizer": "sgd", "batch_size": 2, "lr": 0.5, "schedule": "cosine"}
    asked = settings_of(cfg, typed, {"per": "object"})
    assert (asked.batch_size, asked.lr, asked.schedule) == (2, 0.5, "cosine")
    assert asked.loss.per == "object"


def test_a_cfg_for_testing_says_nothing_of_the_batch():
    cfg = cfg_saying({"batch": "1", "subdivisions": "1"})
    assert settings_of(cfg, {"epochs": 1, "optimizer": "sgd"}, {}).batch_size == 16


def test_a_policy_that_cannot_be_followed_is_told_with_the_settings():
    cfg = cfg_saying({"policy": "sgdr"})
    assert settings_of(cfg, {"epochs": 1, "optimizer": "adamw"}, {}).schedule == "cosine"
    for typed in ({"optimizer": "sgd"}, {"schedule": "cfg"}):
        with pytest.raises(InputError, match="policy=sgdr is not supported"):
            settings_of(cfg, {"epochs": 1, **typed}, {})


@pytest.mark.parametrize(("epochs", "asked", "start"), [(10, None, 8), (1, None, 0), (10, 0, 10)])
def test_the_calm_end(epochs, asked, start):
    assert calm_from(epochs, asked) == start


@pytest.mark.parametrize("asked", [-1, 11])
def test_the_calm_end_is_within_the_training(asked):
    with pytest.raises(InputError, match="--close-mosaic"):
        require_calm(10, asked)
    require_calm(10, None)


# --- other classes --------------------------------------------------------------------------------


def test_heads_for_other_classes_keep_boxes_objectness_and_equal_names():
    cfg = build("yolov3-tiny", 4, 64)
    old = Bundle(cfg, random_weights(cfg, 5), class_names=("person", "Apple", "orange", "cat"))
    new, told = for_classes(old, ("apple", "banana", "orange"), seed=1)
    assert "apple, orange" in told and "4 classes become 3" in told
    assert new.class_names == ("apple", "banana", "orange") and new.cfg.n_classes == 3
    images = torch.rand(1, 3, 64, 64)
    for before, after in zip(
        network_of(cfg, old.weights)(images), network_of(new.cfg, new.weights)(images), strict=True
    ):
        ours, theirs = after.unflatten(1, (3, 8)), before.unflatten(1, (3, 9))
        torch.testing.assert_close(ours[:, :, :5], theirs[:, :, :5])
        torch.testing.assert_close(ours[:, :, 5], theirs[:, :, 6])  # apple
        torch.testing.assert_close(ours[:, :, 7], theirs[:, :, 7])  # orange
        assert not torch.allclose(ours[:, :, 6], theirs[:, :, 5])
    trunk = [key for key in old.weights if old.weights[key].shape == new.weights[key].shape]
    assert all(torch.equal(old.weights[key], new.weights[key]) for key in trunk)
    assert new.history[-1].result["kept"] == ["apple", "orange"]


def test_unnamed_classes_all_start_anew():
    cfg = build("yolov3-tiny", 4, 64)
    new, told = for_classes(Bundle(cfg, random_weights(cfg)), ("a", "b"), seed=1)
    assert told.endswith("none") and new.cfg.n_classes == 2


@pytest.mark.parametrize("shares", [0, 1])
def test_heads_that_share_a_kernel_are_told(shares):
    head = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
    yolo = "[yolo]\nmask=0,1,2\nanchors=1,2,3,4,5,6\nclasses=1\nnum=3\n"
    second = "share_index=1\n" if shares else "batch_normalize=1\n"
    cfg = parse(
        "[net]\nwidth=16\nheight=16\n[convolutional]\nfilters=8\nsize=1\n"
        + head + yolo + "[route]\nlayers=0\n" + head + second + yolo
    )  # fmt: skip
    told = r"\[convolutional\] " + ("shares its kernel" if shares else "has a BatchNorm")
    with pytest.raises(InputError, match=told):
        for_classes(Bundle(cfg, random_weights(cfg)), ("a", "b"))
