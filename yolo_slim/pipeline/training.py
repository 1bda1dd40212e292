"""How a cfg is trained: what was typed, else what the cfg says, else what suits most."""

from __future__ import annotations

import math
from typing import Any

from yolo_slim.cfg import Cfg, NetKeys, net_keys
from yolo_slim.data.augment import Augmentation
from yolo_slim.errors import InputError
from yolo_slim.train.loss import LossSettings
from yolo_slim.train.schedule import darknet_schedule
from yolo_slim.train.settings import TrainSettings

LOSS = {
    "box": "box_loss", "box_weight": "box_weight", "objectness": "objectness",
    "label_smoothing": "label_smoothing", "focal_gamma": "focal_gamma", "cells": "cells",
}  # fmt: skip
"""Field of LossSettings -> the option or the key of a recipe that it is."""

CALM_SHARE = 0.15
"""Of the epochs, at the end, in which pictures are not mixed."""

DARKNET_LR = 0.001
"""What Darknet takes where [net] has no learning_rate."""


def augmentation_of(cfg: Cfg, typed: dict[str, Any]) -> Augmentation:
    """typed: fields of Augmentation; None asks the cfg.

    [net]'s hue, saturation and exposure mean the same here. mosaic=1 and mixup=1 are the
    probability 0.5, as in Darknet; flip=0 turns mirroring off.
    """
    keys = net_keys(cfg)
    said: dict[str, Any] = {}
    if keys.hue is not None:
        said["hue"] = min(max(keys.hue, 0.0), 1.0)
    for name in ("saturation", "exposure"):
        factor = getattr(keys, name)
        if factor is not None:
            said[name] = max(factor, 1 / factor) if factor > 0 else 1.0
    for key, name in (("mosaic", "mosaic_p"), ("mixup", "mixup_p"), ("flip", "flip_p")):
        value = getattr(keys, key)
        if value is not None:
            said[name] = 0.5 if value else 0.0
    return Augmentation(**said | _given(typed))


def settings_of(cfg: Cfg | None, typed: dict[str, Any], loss: dict[str, Any]) -> TrainSettings:
    """typed: fields of TrainSettings, loss: of LossSettings; None takes the default. cfg: None
    where it is not known yet, as one that says nothing.

    'sgd' is Darknet's way: batch and subdivisions, momentum, decay, burn_in and policy are those
    of [net], and the loss is divided by the images, so that its learning rate means what it does
    there. 'adamw' takes learning_rate and random from the cfg, and nothing else.

    Raises InputError for a value out of range and a policy that cannot be followed, CfgError for a
    value that is none.
    """
    keys = NetKeys() if cfg is None else net_keys(cfg)
    said: dict[str, Any] = {"lr": keys.learning_rate or DARKNET_LR, "multi_scale": keys.multi_scale}
    if typed.get("optimizer") == "sgd":
        said |= _darknet(keys)
        loss = {"per": "image"} | loss
    chosen = said | _given(typed)
    settings = TrainSettings(**chosen, loss=LossSettings(**_given(loss)))
    if settings.schedule == "cfg":
        darknet_schedule(keys, n_steps=1)  # told here, and not when its training begins
    return settings


def require_calm(epochs: int, calm_epochs: int | None) -> None:
    """Raises InputError for more epochs without mixing than there are."""
    if calm_epochs is not None and not 0 <= calm_epochs <= epochs:
        raise InputError(
            f"--close-mosaic {calm_epochs} is out of range: expected 0 to {epochs}, the epochs"
        )


def calm_from(epochs: int, calm_epochs: int | None) -> int:
    """The epoch, from 0, from which pictures are not mixed any more."""
    if calm_epochs is None:
        calm_epochs = math.ceil(CALM_SHARE * epochs)
    return max(0, epochs - calm_epochs)


def _darknet(keys: NetKeys) -> dict[str, Any]:
    said: dict[str, Any] = {
        "momentum": keys.momentum,
        "weight_decay": keys.decay,
        "schedule": "cfg",
    }
    # batch=1 is how a cfg for testing is written.
    if keys.batch is not None and keys.batch > 1:
        said["batch_size"] = max(1, keys.batch // keys.subdivisions)
        said["accumulate"] = min(keys.subdivisions, keys.batch)
    return said


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
