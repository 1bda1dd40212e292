"""What a state that was kept is asked before a training goes on from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sparse_training import TINY

from yolo_slim.bundle import Bundle
from yolo_slim.errors import InputError
from yolo_slim.train.checkpoint import CIRCUMSTANCES, resumable
from yolo_slim.train.module import DetectorModule
from yolo_slim.train.settings import Machines, TrainSettings
from yolo_slim.weights import random_weights

SETTINGS = TrainSettings(epochs=4)


def module(settings: TrainSettings) -> DetectorModule:
    return DetectorModule(Bundle(TINY, random_weights(TINY)), settings, steps_per_epoch=2)


def kept(path: Path, forgotten: tuple[str, ...] = ()) -> Path:
    """A state after the first epoch, that does not tell what is `forgotten`."""
    begun = module(SETTINGS)
    told = {key: v for key, v in begun.circumstances().items() if key not in forgotten}
    state = {"epoch": 0, "global_step": 2, "state_dict": begun.state_dict(), CIRCUMSTANCES: told}
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": False}, "labels True, and now it is False"),
        ({"machines": Machines(sync_batchnorm=False)}, "--sync-bn True, and now it is False"),
        ({"warmup_epochs": 2.0}, "warmup_epochs 1, and now it is 2"),
        ({"ema_decay": 0.5}, "ema_decay 0.998, and now it is 0.5"),
        ({"lr": 0.5}, "--lr 0.001, and now it is 0.5"),
    ],
)
def test_another_training_is_refused(changes, told, tmp_path):
    state = kept(tmp_path / "last.ckpt")
    resumable(state, module(SETTINGS))
    with pytest.raises(InputError, match=told):
        resumable(state, module(replace(SETTINGS, **changes)))


def test_a_state_of_before_is_not_asked_what_it_could_not_tell(tmp_path):
    state = kept(tmp_path / "last.ckpt", ("labels", "--sync-bn", "warmup_epochs", "ema_decay"))
    resumable(state, module(replace(SETTINGS, labels=False)))
    with pytest.raises(InputError, match="--lr not given"):
        resumable(kept(tmp_path / "last.ckpt", ("--lr",)), module(SETTINGS))
